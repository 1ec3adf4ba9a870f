"""I3: no waiter is passed. The list of waiters is updated with every commit."""

from dataclasses import dataclass, field
from typing import Final

from berth_core import ids
from berth_core.kube.types import Object

from .cluster import Cluster
from .wire import Commit

CLEARLY_SECONDS: Final = 3.0
"""One who came so much earlier than another was in every list that showed the other."""


@dataclass(frozen=True)
class Waiter:
    """Somebody who waits with a Reservation, or with an Instance made with kubectl."""

    instance: str
    user: str
    priority: int
    since: float


@dataclass
class Queue:
    """Waiters, and the requests for an instance that are under way."""

    cluster: Cluster
    waiting: dict[str, Waiter] = field(default_factory=dict)
    """By uid."""
    known: dict[str, Waiter] = field(default_factory=dict)
    """Everybody who has ever waited, by the public id of the instance to come."""
    calls: dict[int, tuple[str, float]] = field(default_factory=dict)
    """Requests of which the API may still make something: user and time."""
    _numbers: int = 0

    def asks(self, user: str) -> int:
        """Take note of a request; its number."""
        self._numbers += 1
        self.calls[self._numbers] = (user, self.cluster.world.now)
        return self._numbers

    def commit(self, commit: Commit) -> None:
        """Follow a Reservation or an Instance."""
        obj, uid = commit.object, commit.object["metadata"]["uid"]
        if commit.event == "DELETED" or not _waits(commit.plural, obj):
            self.waiting.pop(uid, None)
        elif uid not in self.waiting:
            spec = obj["spec"]
            if commit.plural == "reservations":
                instance = ids.turn_instance(uid)
            else:
                instance = ids.instance_id(obj["metadata"]["name"], uid)
            waiter = Waiter(instance, spec["user"], int(spec.get("priority") or 0), self.cluster.world.now)
            self.waiting[uid] = self.known[instance] = waiter

    def took(self, instance: str, user: str, able: set[str], holders: set[str]) -> None:
        """Judge a lease that was taken while nothing else was free; ``able`` users may have another one.

        Instances among ``holders`` have a lease, and wait no more though they do not say so yet.
        """
        own = self.known.get(instance)
        if own is not None:
            since, priority = own.since, own.priority
        else:
            since = min((at for who, at in self.calls.values() if who == user), default=-1.0)
            priority = -1000
        for other in self.waiting.values():
            if other.instance in holders or other.user not in able or (own is None and other.user == user):
                continue
            if other.since + CLEARLY_SECONDS <= since and other.priority >= priority:
                word = "one who waits behind" if own is not None else "a newcomer"
                self.cluster.violated(f"I3: {word} was served while another waited for longer")
                self.cluster.say("ORACLE", "passed", other.instance, f"by {instance}")
                return


def _waits(plural: str, obj: Object) -> bool:
    status = obj.get("status") or {}
    if obj["metadata"].get("deletionTimestamp"):
        return False
    if plural == "reservations":
        settled = any(c["type"] == "Fulfilled" for c in status.get("conditions") or ())
        return not status.get("grant") and not settled
    spec = obj["spec"]
    begun = spec.get("claim") or spec.get("terminate") or status.get("epoch") or status.get("reason")
    return not begun
