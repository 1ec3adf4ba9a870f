"""What a command says when it cannot do what it was asked, and how it exits."""

from typing import Final

FAILED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
NOT_FOUND: Final = 4
FORBIDDEN: Final = 5

EXIT_CODES: Final = (
    "Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 3 the cluster cannot be reached; 4 no such object;"
    " 5 not permitted."
)


class CliError(Exception):
    """A command failed. The message says what is wrong and what to do next."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
