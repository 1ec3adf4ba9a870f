"""When a Delivery is tried, and what its status says. Pure.

An attempt is written down before it is made, with a time for the next one at which it must be over. So a process that
dies in between loses neither the count nor the pause, and no other replica sends meanwhile: the write is a
compare-and-swap, which only one of them wins.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from berth_core.keys.webhooks import DELIVERED, GIVEN_UP
from berth_core.kube.conditions import Condition, condition, find, is_true, merged
from berth_core.kube.model import parse_time, timestamp
from berth_core.resources.delivery import Delivery, DeliveryStatus
from berth_notifier.outcome import Outcome

ATTEMPT_SECONDS: Final = 15.0
CLAIM: Final = timedelta(seconds=30)
"""How long no other replica tries: an attempt, and the difference that replicas' clocks may have."""
DELAYS: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
)
"""Pauses after the first, second … attempt that failed: those that the Standard Webhooks specification proposes."""
MOST_ATTEMPTS: Final = len(DELAYS) + 1
SUPERSEDED: Final = "Superseded"
JITTER: Final = 0.2
"""Part of a pause that chance may take away."""


def is_over(delivery: Delivery) -> bool:
    """Whether nothing more is sent."""
    return is_true(delivery.status.conditions, DELIVERED) or is_true(delivery.status.conditions, GIVEN_UP)


def over_since(delivery: Delivery) -> datetime | None:
    """When it was delivered or given up; None where it was not."""
    entries = [find(delivery.status.conditions, kind) for kind in (DELIVERED, GIVEN_UP)]
    return max(
        (parse_time(c.last_transition_time) for c in entries if c is not None and c.status == "True"), default=None
    )


def is_superseded(delivery: Delivery, siblings: Iterable[Delivery]) -> bool:
    """Whether a later message replaces it of the same subject; ``siblings`` are all that have it."""
    return any(other.spec.sequence > delivery.spec.sequence for other in siblings)


def due_at(delivery: Delivery, siblings: Iterable[Delivery] = ()) -> datetime | None:
    """From when on it may be tried; None when it is over, and while an earlier one of ``siblings`` is not.

    One that a later one takes the place of is due at once, to be given up, but for an attempt that may be under way:
    what is told last must arrive last.
    """
    others = list(siblings)
    if is_over(delivery):
        return None
    status = delivery.status
    if is_superseded(delivery, others):
        return _surely_ended(status) or parse_time(delivery.metadata.creation_timestamp)
    if any(other.spec.sequence < delivery.spec.sequence and not is_over(other) for other in others):
        return None
    return parse_time(status.next_attempt or delivery.metadata.creation_timestamp)


def _surely_ended(status: DeliveryStatus) -> datetime | None:
    """When an attempt that may be under way has ended; None where how the latest one ended is written down."""
    if status.last_attempt is None or status.next_attempt is None:
        return None
    claimed_until = parse_time(status.last_attempt) + CLAIM
    return claimed_until if parse_time(status.next_attempt) == claimed_until else None


def begun(delivery: Delivery, now: datetime, *, superseded: bool = False) -> DeliveryStatus:
    """Status that says that an attempt begins now; or that it is given up, where there were enough, or later ones."""
    if superseded:
        return _given_up(delivery, now, SUPERSEDED, "a later message replaces it")
    if delivery.status.attempts >= MOST_ATTEMPTS:
        # The process died in the last attempt: how that ended is not known.
        return _given_up(delivery, now, "AttemptsExhausted", f"{MOST_ATTEMPTS} attempts failed")
    return delivery.status.model_copy(
        update={
            "attempts": delivery.status.attempts + 1,
            "last_attempt": timestamp(now),
            "next_attempt": timestamp(now + CLAIM),
            "observed_generation": delivery.metadata.generation,
        }
    )


def ended(delivery: Delivery, outcome: Outcome, now: datetime, chance: float) -> DeliveryStatus:
    """Status after an attempt. ``chance`` is from 0 to 1."""
    delivered = _condition(delivery, DELIVERED, outcome.delivered, outcome.reason, outcome.message, now)
    if outcome.delivered:
        return _with(delivery, [delivered], None)
    if outcome.final:
        return _given_up(delivery, now, outcome.reason, outcome.message, delivered)
    if delivery.status.attempts >= MOST_ATTEMPTS:
        message = f"{MOST_ATTEMPTS} attempts failed; the last one: {outcome.message}"
        return _given_up(delivery, now, "AttemptsExhausted", message, delivered)
    return _with(delivery, [delivered], now + pause(delivery.status.attempts, outcome.retry_after, chance))


def pause(attempts: int, retry_after: float, chance: float) -> timedelta:
    """Pause after so many attempts, the longest 24 hours; at least what the receiver asked for, within that."""
    longest = DELAYS[-1]
    own = DELAYS[min(max(attempts, 1), len(DELAYS)) - 1] * (1 - JITTER * chance)
    delay = timedelta(seconds=min(max(retry_after, 0.0), longest.total_seconds()))
    return max(own, delay)


def _given_up(
    delivery: Delivery, now: datetime, reason: str, message: str, told: Condition | None = None
) -> DeliveryStatus:
    conditions = [_condition(delivery, GIVEN_UP, True, reason, message, now)]
    return _with(delivery, [*conditions, *([told] if told is not None else [])], None)


def _with(delivery: Delivery, conditions: list[Condition], next_attempt: datetime | None) -> DeliveryStatus:
    return delivery.status.model_copy(
        update={
            "next_attempt": timestamp(next_attempt) if next_attempt is not None else None,
            "observed_generation": delivery.metadata.generation,
            "conditions": merged(delivery.status.conditions, conditions),
        }
    )


def _condition(delivery: Delivery, kind: str, holds: bool, reason: str, message: str, now: datetime) -> Condition:
    return condition(kind, holds, reason, message, now=now, generation=delivery.metadata.generation)
