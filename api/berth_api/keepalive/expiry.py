"""End of an instance's lease, and limits of its extension. Pure.

The operator writes ``status.expireTime`` when the instance becomes ready, and again when it sees that
``spec.expireAfter`` was changed. Between that change and its write the end follows from the spec, by the same rule
(its instances/status.py). So the caller of an extension sees the new end at once.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from berth_api.http.errors import ApiError, BadRequestError
from berth_core.kube.model import parse_time, timestamp
from berth_core.resources import Instance
from berth_core.resources.workspacetype import Limits

SECOND = timedelta(seconds=1)


class QueuedError(ApiError):
    """409: others wait for the deployment that the caller wants to keep."""

    status = 409


@dataclass(frozen=True)
class Extension:
    """A wanted extension, and the facts to judge it by; times are in seconds."""

    instance: Instance
    limits: Limits
    expire_d: int
    """From now to the end, or from readiness where that has yet to come."""
    longest: int | None
    """Bound of the caller's token, from readiness to the end; None for no bound."""
    others_wait: bool


def expires(instance: Instance, limits: Limits) -> str | None:
    """When the instance will be ended; None where there is no end, or before readiness."""
    status, expire_after = instance.status, instance.spec.expire_after
    changed = expire_after is not None and status.observed_generation != instance.metadata.generation
    if status.ready_time is None or not changed:
        return status.expire_time
    seconds = lease_seconds(expire_after, limits)
    return None if seconds is None else timestamp(_end(parse_time(status.ready_time), seconds))


def lease_seconds(expire_after: int | None, limits: Limits) -> int | None:
    """Seconds from readiness to the end; None for no end."""
    seconds = limits.default_expire_after if expire_after is None else expire_after
    bounds = [s for s in (seconds, limits.max_expire_after) if s is not None]
    return min(bounds, default=None)


def extended(wish: Extension, now: datetime) -> int:
    """Return the new ``spec.expireAfter``. Raises BadRequestError or QueuedError, which tell the limits."""
    status = wish.instance.status
    if status.ready_time is None:
        total = wish.expire_d
        _need_longer(lease_seconds(wish.instance.spec.expire_after, wish.limits), total)
    else:
        ready = parse_time(status.ready_time)
        total = math.ceil((max(now - ready, timedelta(0)) + wish.expire_d * SECOND) / SECOND)
        _need_later(expires(wish.instance, wish.limits), _end(ready, total), now)
    bounds = [s for s in (wish.limits.max_expire_after, wish.longest) if s is not None]
    if bounds and total > min(bounds):
        raise BadRequestError(f"an instance may last {min(bounds)} s from readiness at most, this would be {total} s")
    most = wish.limits.max_extension_when_queued or 0
    if wish.others_wait and wish.expire_d > most:
        possible = f"`expire_d` may be {most} at most" if most else "it cannot be extended"
        raise QueuedError(f"others wait for this workspace deployment: until their turn has come {possible}")
    return total


def _end(ready: datetime, seconds: int) -> datetime:
    # Whole seconds, since people read the end in tables.
    return (ready + timedelta(seconds=seconds)).replace(microsecond=0)


def _need_longer(current: int | None, total: int) -> None:
    if current is None:
        raise BadRequestError("this instance has no end that could be put off")
    if total <= current:
        raise BadRequestError(f"this instance lasts {current} s from readiness already")


def _need_later(current: str | None, end: datetime, now: datetime) -> None:
    if current is None:
        raise BadRequestError("this instance has no end that could be put off")
    if parse_time(current) <= now:
        raise BadRequestError(f"the time of this instance was up at {current}")
    if end <= parse_time(current):
        raise BadRequestError(f"this instance runs until {current} already")
