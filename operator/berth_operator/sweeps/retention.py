"""How long objects that are over are kept, and how many of them. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from berth_core import names
from berth_core.kube.model import parse_time
from berth_core.kube.types import Kind, Object
from berth_core.queue import order
from berth_operator.settings.builds import Bounds

REMEMBERED: Final = timedelta(hours=24)
"""Objects of a request with an Idempotency-Key are kept at least as long as the key counts: a repeat looks for them."""

REST: Final = 3072
"""Bytes of an object without keys and annotations."""

TOMBSTONE_STAYS: Final = timedelta(minutes=10)
"""The name of an Instance that did not come stays taken for at least so long: no request for it is under way then."""


@dataclass(frozen=True)
class Past:
    """An object that is over."""

    kind: Kind
    obj: Object
    ended: datetime
    at: datetime
    """When it goes."""
    size: int = 0
    """Bytes that are kept beside it."""

    @property
    def weight(self) -> int:
        """About how many bytes the cluster's store holds of it: its maker's fields, and the rest as :data:`REST`."""
        spec, metadata = self.obj["spec"], self.obj["metadata"]
        keys = spec.get("sshKeys") or (spec.get("instance") or {}).get("sshKeys") or ()
        notes = (*(metadata.get("annotations") or {}).items(), *(metadata.get("labels") or {}).items())
        # kubectl's copy of a spec is not kept here.
        return REST + 2 * sum(map(len, keys)) + sum(len(name) + len(value) for name, value in notes)


def beyond(past: Iterable[Past], bounds: Bounds, weigh: Callable[[Past], int] = lambda _: 1) -> list[Past]:
    """Return the surplus: the oldest of each user and namespace.

    A user who has too much takes no room from others in the namespace.
    """
    of_user, of_namespace = Counter[tuple[str, str]](), Counter[str]()
    surplus: list[Past] = []
    for one in sorted(past, key=lambda one: (one.ended, one.obj["metadata"]["name"]), reverse=True):
        namespace, user = one.obj["metadata"]["namespace"], one.obj["spec"].get("user", "")
        of_user[namespace, user] += weigh(one)
        if of_user[namespace, user] <= bounds.per_user:
            of_namespace[namespace] += weigh(one)
            if of_namespace[namespace] <= bounds.per_namespace:
                continue
        surplus.append(one)
    return surplus


def instance_goes_at(obj: Object, retention: timedelta) -> datetime | None:
    """When an Instance is removed; None while it has not ended, and once it is being deleted."""
    end = (obj.get("status") or {}).get("endTime")
    if names.NEVER_MADE_LABEL in (obj["metadata"].get("labels") or {}):
        retention = max(retention, TOMBSTONE_STAYS)
    return _goes_at(obj, parse_time(end) + retention) if end else None


def reservation_goes_at(obj: Object, retention: timedelta) -> datetime | None:
    """When a Reservation is removed; None until its turn has come and gone, and once it is being deleted."""
    for entry in (obj.get("status") or {}).get("conditions") or ():
        if entry["type"] == order.FULFILLED:
            return _goes_at(obj, parse_time(entry["lastTransitionTime"]) + retention)
    return None


def build_goes_at(obj: Object, retention: timedelta) -> datetime | None:
    """When a Build is removed; None while the attempt that is wanted has not ended, and once it is being deleted."""
    status = obj.get("status") or {}
    end = status.get("endTime")
    if not end or status.get("attempt") != obj["spec"].get("attempt", 1):
        return None
    return _goes_at(obj, parse_time(end) + retention)


def deployment_goes_at(obj: Object, retention: timedelta) -> datetime | None:
    """When a machine that its owner retired is removed; None for others, and while somebody has it.

    Machines of administrators stay: owners could else fill the cluster by registering and retiring.
    """
    spec = obj["spec"]
    if not spec.get("grant") or not spec.get("dissolved") or (obj.get("status") or {}).get("lease"):
        return None
    return _goes_at(obj, parse_time(spec["dissolved"]) + retention)


def next_look(times: list[datetime], now: datetime, retention: timedelta) -> float:
    """Seconds until the next one goes.

    Objects that are not over yet go later than ``retention`` from now on, so that nothing is missed. Objects that go
    soon after each other go together: within a tenth of the time that they were kept, or ten minutes.
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
