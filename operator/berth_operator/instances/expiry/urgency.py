"""Which work goes before all other. Pure.

It only orders the work queue: work that is overlooked here is done in its ordinary turn.
"""

from datetime import datetime

from berth_core.kube.model import parse_time
from berth_core.kube.types import Object


def must_end(instance: Object, now: datetime) -> bool:
    """Whether an Instance, as the API server gave it, is to be ended by now and is not marked yet."""
    status = instance.get("status") or {}
    if status.get("reason") or status.get("endTime"):
        return False
    if instance["spec"].get("terminate") or instance["metadata"].get("deletionTimestamp"):
        return True
    end = status.get("expireTime")
    return end is not None and parse_time(end) <= now


def is_half_open(instance: Object) -> bool:
    """Whether an Instance is bound and not READY yet: one after the other, half of a burst waits half as long."""
    status = instance.get("status") or {}
    return bool(status.get("epoch")) and not (status.get("readyTime") or status.get("reason"))
