"""How one attempt ended."""

from dataclasses import dataclass
from typing import Final

DELIVERED: Final = "Delivered"
REFUSED_BY_RECEIVER: Final = "Refused"
GONE: Final = "Gone"
URL_REFUSED: Final = "UrlRefused"
ADDRESS_REFUSED: Final = "AddressRefused"
UNRESOLVED: Final = "Unresolved"
TLS_FAILED: Final = "TlsFailed"
UNREACHABLE: Final = "Unreachable"
TIMED_OUT: Final = "TimedOut"
BAD_ANSWER: Final = "BadAnswer"
TOKEN_REFUSED: Final = "TokenRefused"  # noqa: S105 (a reason, not a token)
NOT_UNDERSTOOD: Final = frozenset({400, 422})
"""By which providers say that they take a commit's status never, such as one that it has already."""


@dataclass(frozen=True)
class Outcome:
    """``reason`` is one of the words above, ``message`` a sentence without anything that the receiver said.

    ``retry_after`` is in seconds, as the receiver asked for; ``final`` says that nobody needs to try again.
    """

    reason: str
    message: str
    final: bool = False
    retry_after: float = 0.0

    @property
    def delivered(self) -> bool:
        """Whether the receiver took it."""
        return self.reason == DELIVERED


def of_status(status: int, retry_after: float = 0.0, *, is_webhook: bool = True) -> Outcome:
    """Return the outcome that an answer's status means. Pure."""
    if not is_webhook and status in NOT_UNDERSTOOD:
        return Outcome(REFUSED_BY_RECEIVER, f"the receiver answered {status}: it will not take this", final=True)
    if 200 <= status <= 299:
        return Outcome(DELIVERED, f"the receiver answered {status}", final=True)
    if status == 410:
        return Outcome(GONE, "the receiver answered 410: it wants no more", final=True)
    if 300 <= status <= 399:
        return Outcome(REFUSED_BY_RECEIVER, f"the receiver answered {status}; redirects are not followed")
    return Outcome(REFUSED_BY_RECEIVER, f"the receiver answered {status}", retry_after=retry_after)
