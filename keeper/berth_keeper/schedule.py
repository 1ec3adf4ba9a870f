"""When a relay is worked, and what its status says. Pure.

An attempt is written down before it is made, with a time at which it must be over. That write is a compare-and-swap,
which only one process wins, and after it nobody else begins until then. So the operator knows when none is under way.
"""

from datetime import datetime, timedelta
from typing import Final

from berth_core.kube.conditions import Condition, condition, find, merged
from berth_core.kube.model import parse_time, timestamp
from berth_core.machines.relays import DONE, NOTHING, USABLE, is_done
from berth_core.resources import Relay
from berth_core.resources.machines.relay import RelayRequest, RelayStatus
from berth_keeper.outcome import Outcome

CLAIM: Final = timedelta(seconds=30)
"""How long an attempt has: the attempt itself, and the difference that clocks may have."""
HOLDERS: Final = timedelta(seconds=60)
"""How long a holder's request is tried. One of a lease's end is tried until the operator gives it up."""
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0


def wanted(relay: Relay, now: datetime) -> RelayRequest | None:
    """Return the request that is to be done; None where there is none, or nothing more is tried."""
    request = relay.spec.request
    if request is None or request.do == NOTHING or is_done(relay):
        return None
    if not request.end and now >= parse_time(request.since) + HOLDERS:
        return None
    return request


def due_at(relay: Relay, now: datetime) -> datetime | None:
    """Return from when on it may be tried, apart from pauses; None where nothing is to be done."""
    if wanted(relay, now) is None:
        return None
    until = relay.status.attempt_until
    return max(now, parse_time(until)) if until is not None else now


def pause(attempts: int) -> float:
    """Seconds from the end of one attempt to the next, after so many.

    >>> [pause(n) for n in (1, 2, 5, 6, 100)]
    [1.0, 2.0, 16.0, 30.0, 30.0]
    """
    return min(FIRST_PAUSE * 2.0 ** min(attempts - 1, 10), LONGEST_PAUSE)


def begun(relay: Relay, request: RelayRequest, now: datetime) -> RelayStatus:
    """Status that says that an attempt begins now."""
    same = relay.status.number == request.number
    update = {
        "number": request.number,
        "attempts": relay.status.attempts + 1 if same else 1,
        "attempt_until": timestamp(now + CLAIM),
    }
    if not same:
        message = f"{request.do}: the first attempt begins"
        update["conditions"] = merged(relay.status.conditions, [_condition(relay, DONE, False, "Begun", message, now)])
    return relay.status.model_copy(update=update)


def ended(relay: Relay, outcome: Outcome, now: datetime) -> RelayStatus:
    """Status after an attempt."""
    done = _condition(relay, DONE, outcome.done, outcome.reason, outcome.message, now)
    conditions = merged(relay.status.conditions, [done])
    return relay.status.model_copy(update={"attempt_until": None, "conditions": conditions})


def judged(relay: Relay, reason: str, message: str, now: datetime) -> RelayStatus:
    """Status that says whether the relay can be worked."""
    verdict = _condition(relay, USABLE, reason == USABLE, reason, message, now)
    known = find(relay.status.conditions, USABLE)
    if known is not None and (known.status, known.reason, known.message) == (
        verdict.status,
        verdict.reason,
        verdict.message,
    ):
        return relay.status
    return relay.status.model_copy(update={"conditions": merged(relay.status.conditions, [verdict])})


def _condition(relay: Relay, kind: str, holds: bool, reason: str, message: str, now: datetime) -> Condition:
    return condition(kind, holds, reason, message, now=now, generation=relay.metadata.generation)
