"""Why a step of a build ended before its script: a word for programs, a sentence for people."""


class Failure(Exception):  # noqa: N818 (it is what the step came to)
    """A step's failure: its reason and message."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
