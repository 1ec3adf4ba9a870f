"""How one attempt ended. Nothing that a relay says gets into it but a status code."""

from dataclasses import dataclass
from typing import Final

SWITCHED: Final = "Switched"
ANSWERED: Final = "Answered"
STATE_DIFFERS: Final = "StateDiffers"
TLS_FAILED: Final = "TlsFailed"
UNREACHABLE: Final = "Unreachable"
TIMED_OUT: Final = "TimedOut"
BAD_ANSWER: Final = "BadAnswer"
SNMP_FAILED: Final = "SnmpFailed"
UNREAD: Final = "SecretUnread"


@dataclass(frozen=True)
class Outcome:
    """``reason`` is one of the words above, or a reason of the condition Usable; ``message`` a sentence."""

    reason: str
    message: str

    @property
    def done(self) -> bool:
        """Whether the relay has done it."""
        return self.reason == SWITCHED


def of_status(status: int) -> Outcome | None:
    """Return the failure that an answer's status means; None for success. Pure."""
    if 200 <= status <= 299:
        return None
    more = "; redirects are not followed" if 300 <= status <= 399 else ""
    return Outcome(ANSWERED, f"the relay answered {status}{more}")


def of_state(body: str, on: str, off: str) -> bool | None:
    """Return whether an answer shows that power is on; None where it shows neither or both. Pure."""
    shown = on in body, off in body
    return shown[0] if shown[0] != shown[1] else None
