"""Whether a deployment whose machine renews a Lease is online. Pure; all times are lengths by our own clock."""

from dataclasses import dataclass
from typing import Final

from berth_core.kube.conditions import Condition

MOST_SILENCE: Final = 60.0
"""Seconds without a renewal after which a deployment is offline; a Lease may ask for fewer."""
SEEN: Final = "HeartbeatSeen"
LOST: Final = "HeartbeatLost"
AWAITED: Final = "HeartbeatAwaited"
MISSING: Final = "LeaseMissing"


@dataclass(frozen=True)
class Beat:
    """Observed Lease of one deployment."""

    heard: bool
    """This process has seen it renewed; else it has only seen the Lease, which may be old."""
    age: float
    """Seconds since then."""
    silence: float
    """Seconds since then in which a renewal would have been seen."""
    limit: float = MOST_SILENCE


def limit_of(duration: int | None) -> float:
    """Longest silence in seconds, by the Lease's ``leaseDurationSeconds``."""
    return min(float(duration), MOST_SILENCE) if duration else MOST_SILENCE


def online(name: str, beat: Beat | None, present: Condition | None) -> tuple[bool, str, str]:
    """Status, reason and message of a deployment's condition Online; ``present`` is the one in its status.

    Only silence that could have been broken takes a deployment offline, and only a renewal brings it online: a
    process that has just begun to listen believes what the condition says for one limit.
    """
    if beat is None:
        return False, MISSING, f"there is no Lease {name} with the label berth.dev/heartbeat=true: make it"
    was = present.reason if present is not None else ""
    if (was == SEEN and beat.silence < beat.limit) or (beat.heard and beat.age < beat.limit):
        return True, SEEN, f"its Lease is renewed at least every {beat.limit:g} s"
    if beat.heard or was in (SEEN, LOST):
        return False, LOST, f"its Lease was not renewed for {beat.limit:g} s: look after the machine that renews it"
    return False, AWAITED, "its Lease has not been renewed yet: start what renews it on the machine"


def due_in(beat: Beat | None) -> float | None:
    """Seconds after which silence alone changes the condition; None where only a renewal does."""
    if beat is None or beat.silence >= beat.limit:
        return None
    return beat.limit - beat.silence
