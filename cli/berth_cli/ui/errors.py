"""Errors of commands and their exit codes."""

from typing import Final

FAILED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
NOT_FOUND: Final = 4
FORBIDDEN: Final = 5
BUSY: Final = 6
LATE: Final = 7
INTERRUPTED: Final = 130

MEANINGS: Final = {
    0: "done",
    FAILED: "refused or failed",
    USAGE: "wrong usage",
    UNREACHABLE: "the cluster or the API cannot be reached",
    NOT_FOUND: "no such object",
    FORBIDDEN: "not permitted, or a token that does not count",
    BUSY: "busy or asked too often: try again later",
    LATE: "not in the time that --timeout gives",
    INTERRUPTED: "interrupted (Ctrl-C)",
}

EXIT_CODES: Final = f"Exit codes: {'; '.join(f'{code} {meaning}' for code, meaning in MEANINGS.items())}."


class CliError(Exception):
    """A command failed. The message says what is wrong and what to do next."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
