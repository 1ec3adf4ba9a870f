"""How long what is over is kept. Pure."""

from datetime import datetime, timedelta
from typing import Final

from berth_core import names, queue
from berth_core.client import Object
from berth_core.model import parse_time

REMEMBERED: Final = timedelta(hours=24)
"""What a request with an Idempotency-Key made is kept for at least as long as the key counts: a repeat looks for it."""

TOMBSTONE_STAYS: Final = timedelta(minutes=10)
"""The name of an Instance that did not come stays taken for at least so long: no request for it is under way then."""


def instance_goes_at(obj: Object, retention: timedelta) -> datetime | None:
    """When an Instance is removed; None while it has not ended, and once it is being deleted."""
    end = (obj.get("status") or {}).get("endTime")
    if names.NEVER_MADE_LABEL in (obj["metadata"].get("labels") or {}):
        retention = max(retention, TOMBSTONE_STAYS)
    return _goes_at(obj, parse_time(end) + retention) if end else None


def reservation_goes_at(obj: Object, retention: timedelta) -> datetime | None:
    """When a Reservation is removed; None until its turn has come and gone, and once it is being deleted."""
    for shown in (obj.get("status") or {}).get("conditions") or ():
        if shown["type"] == queue.FULFILLED:
            return _goes_at(obj, parse_time(shown["lastTransitionTime"]) + retention)
    return None


def build_goes_at(obj: Object, retention: timedelta) -> datetime | None:
    """When a Build is removed; None while the attempt that is wanted has not ended, and once it is being deleted."""
    status = obj.get("status") or {}
    end = status.get("endTime")
    if not end or status.get("attempt") != obj["spec"].get("attempt", 1):
        return None
    return _goes_at(obj, parse_time(end) + retention)


def next_look(times: list[datetime], now: datetime, retention: timedelta) -> float:
    """Seconds until the next one goes.

    What is not over yet goes later than ``retention`` from now on, so that nothing is missed. Those that go soon after
    each other go together: within a tenth of the time that they were kept, or ten minutes.
    """
    shortest = min(timedelta(minutes=10), retention / 10)
    return max(min([retention, *(at - now for at in times)]), shortest).total_seconds()


def _goes_at(obj: Object, at: datetime) -> datetime | None:
    metadata = obj["metadata"]
    if metadata.get("deletionTimestamp"):
        return None
    if names.IDEMPOTENCY_LABEL in (metadata.get("labels") or {}):
        return max(at, parse_time(metadata["creationTimestamp"]) + REMEMBERED)
    return at
