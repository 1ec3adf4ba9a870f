"""Invariants of leases and of the queue, checked from outside. Imports nothing of Berth.

Two sources: events of the cluster's objects in the order of their versions, and clients' requests and answers, with
times of one clock. Cases that cannot be decided, because two events happened at the same time, are no breach.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]


@dataclass
class Leases:
    """Holders of deployments. `breaches` lists violations."""

    breaches: list[str] = field(default_factory=list)
    held: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By deployment: the instance that has it, and the epoch."""
    taken: dict[tuple[str, int], str] = field(default_factory=dict)
    """By deployment and epoch: the instance that took it."""
    bound: dict[tuple[str, int], dict[str, bool]] = field(default_factory=dict)
    """By deployment and epoch: instances that said so, and whether they have not ended."""
    ended: set[str] = field(default_factory=set)
    epochs: dict[str, int] = field(default_factory=dict)
    on_taken: Callable[[str, str, int], None] = lambda _deployment, _instance, _version: None

    def see_deployment(self, obj: Object) -> None:
        """Take note of a version of a WorkspaceDeployment."""
        name, status = obj["metadata"]["name"], obj.get("status") or {}
        epoch, lease = int(status.get("epoch") or 0), status.get("lease")
        before, known = self.held.get(name), self.epochs.get(name)
        self.epochs[name] = epoch
        if known is not None and epoch < known:
            self.breaches.append(f"the epoch of {name} fell from {known} to {epoch}")
        if lease is None:
            self.held.pop(name, None)
            if known is not None and epoch != known:
                self.breaches.append(f"the epoch of {name} went from {known} to {epoch} and nobody has it")
            return
        holder = (str(lease["instance"]), epoch)
        if before == holder:
            return
        if before is not None:
            self.breaches.append(f"{name} went from {before} to {holder} without being given back")
        elif known is not None and epoch != known + 1:
            self.breaches.append(f"{name} was taken by {holder}, and its epoch was {known}")
        if (name, epoch) in self.taken:
            self.breaches.append(f"epoch {epoch} of {name} was taken twice: {self.taken[name, epoch]}, {holder[0]}")
        self.held[name], self.taken[name, epoch] = holder, holder[0]
        if known is not None:
            self.on_taken(name, holder[0], int(obj["metadata"]["resourceVersion"]))

    def see_instance(self, obj: Object) -> None:
        """Take note of a version of an Instance."""
        status = obj.get("status") or {}
        instance, has_ended = str(status.get("id") or obj["metadata"]["name"]), bool(status.get("endTime"))
        if instance in self.ended and not has_ended:
            self.breaches.append(f"{instance} had ended and goes on")
        if has_ended:
            self.ended.add(instance)
        if status.get("epoch") is None:
            return
        place = (str(status["deployment"]), int(status["epoch"]))
        bound = self.bound.setdefault(place, {})
        bound[instance] = not has_ended
        living = sorted(name for name, lives in bound.items() if lives)
        if len(living) > 1:
            self.breaches.append(f"{place} is had by {living} at the same time")

    def final_breaches(self) -> list[str]:
        """All breaches, with what shows only when both kinds of events have been seen."""
        found = list(self.breaches)
        for place, instances in self.bound.items():
            taker = self.taken.get(place)
            found += [f"{i} is bound to {place}, which {taker} took" for i in instances if i != taker]
        return found


@dataclass
class Place:
    """A reservation, as its client knows it. Times are of one clock; infinite while they have not come."""

    name: str
    wants: frozenset[str]
    """Deployments that it can be met by."""
    asked: float
    user: str = ""
    answered: float = math.inf
    leaves: float = math.inf
    """When its client began to give it up."""
    priority: int = 0


@dataclass(frozen=True)
class Newcomer:
    """An instance that a client was given at once, without a place in the queue."""

    asked: float
    user: str


@dataclass(frozen=True)
class Taking:
    """A lease that was taken: at a version of the cluster's, seen at a time."""

    deployment: str
    instance: str
    version: int
    seen: float


@dataclass
class Queue:
    """Waiters. A jump is a taking while another user, who surely came before, surely waits for the same.

    Users are not blocked by their own waiting reservations.
    """

    places: dict[str, Place] = field(default_factory=dict)
    takings: list[Taking] = field(default_factory=list)
    granted: dict[str, str] = field(default_factory=dict)
    """By instance: the reservation that it was made for."""
    newcomers: dict[str, Newcomer] = field(default_factory=dict)
    """By instance."""

    def jumps(self) -> list[str]:
        """Everyone who got something before one who had waited for it."""
        met = {self.granted[t.instance]: t.version for t in reversed(self.takings) if t.instance in self.granted}
        found = []
        for taking in self.takings:
            mine = self.places.get(self.granted.get(taking.instance, ""))
            newcomer = self.newcomers.get(taking.instance)
            if mine is None and newcomer is None:
                continue  # its client never heard of it, and nobody knows when it was asked for
            for other in self.places.values():
                waits = other.leaves > taking.seen and met.get(other.name, math.inf) > taking.version
                if waits and taking.deployment in other.wants and _comes_before(other, mine or newcomer):
                    found.append(f"{taking} went to {mine or newcomer} before {other}")
        return found

    def lost(self) -> list[str]:
        """Reservations that were promised, were not given up, and were never met."""
        met = set(self.granted.values())
        promised = (p for p in self.places.values() if p.answered < math.inf and p.leaves == math.inf)
        return [p.name for p in promised if p.name not in met]


def _comes_before(other: Place, mine: Place | Newcomer | None) -> bool:
    if mine is None or other is mine:
        return False
    if isinstance(mine, Newcomer):
        return other.answered < mine.asked and other.user != mine.user
    return other.answered < mine.asked and other.priority >= mine.priority
