"""Which waiting Instance gets which deployment. Pure, and cheap enough for thousands of either."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from berth_core import ids
from berth_core.client import Object

Turn = tuple[str, str]


@dataclass(frozen=True)
class Wish:
    """An Instance that has no deployment yet."""

    name: str
    public_id: str
    user: str
    created: str
    type: str
    """typeName; empty where deployments are named."""
    deployments: tuple[str, ...] = ()

    @classmethod
    def of(cls, instance: Object) -> Self:
        """Read it from an Instance as the API server gave it."""
        metadata, spec = instance["metadata"], instance["spec"]
        return cls(
            name=metadata["name"],
            public_id=ids.instance_id(metadata["name"], metadata["uid"]),
            user=spec["user"],
            created=metadata["creationTimestamp"],
            type=spec.get("workspaceType") or "",
            deployments=tuple(spec.get("deployments") or ()),
        )

    @property
    def turn(self) -> Turn:
        """Sort key: the older one first, then by name."""
        return self.created, self.name


@dataclass(frozen=True)
class Offer:
    """A deployment, as far as it matters to those who wait."""

    name: str
    type: str
    type_version: int
    instances: int
    free: bool
    """What its Available condition says. Only the compare-and-swap of taking it knows."""

    @classmethod
    def of(cls, deployment: Object) -> Self:
        """Read it from a WorkspaceDeployment as the API server gave it."""
        spec, status = deployment["spec"], deployment.get("status") or {}
        conditions = status.get("conditions") or ()
        return cls(
            name=deployment["metadata"]["name"],
            type=spec["type"],
            type_version=spec.get("typeVersion", 1),
            instances=status.get("instances") or 0,
            free=any(c["type"] == "Available" and c["status"] == "True" for c in conditions),
        )

    @property
    def rank(self) -> tuple[int, int, str]:
        """Sort key: newest type version first, then the fewest instances, then by name."""
        return -self.type_version, self.instances, self.name


class Offers:
    """Free deployments of one namespace. Those that were tried are dropped, whether they could be had or not."""

    def __init__(self, offers: Iterable[Offer]) -> None:
        self._free = {offer.name: offer for offer in offers if offer.free}
        self._by_type: dict[str, list[Offer]] = {}
        for offer in sorted(self._free.values(), key=lambda offer: offer.rank, reverse=True):
            self._by_type.setdefault(offer.type, []).append(offer)

    def drop(self, offer: Offer) -> None:
        """Take an offer away."""
        self._free.pop(offer.name, None)

    def best(self, wish: Wish) -> Offer | None:
        """Return the best one left that the wish applies to, or None."""
        if wish.deployments:
            named = (self._free[name] for name in wish.deployments if name in self._free)
            return min(named, key=lambda offer: offer.rank, default=None)
        ranked = self._by_type.get(wish.type, [])
        while ranked and ranked[-1].name not in self._free:
            ranked.pop()
        return ranked[-1] if ranked else None


def in_turn(wishes: Iterable[Wish]) -> Iterator[Wish]:
    """Those that wait, in the order in which they are served."""
    return iter(sorted(wishes, key=lambda wish: wish.turn))


def applies(wish: Wish, offer: Offer) -> bool:
    """Whether the wish is for that deployment among others."""
    return offer.name in wish.deployments if wish.deployments else offer.type == wish.type


def obstacle(wish: Wish, wishes: Iterable[Wish], offers: Iterable[Offer]) -> str:
    """Why it cannot have any now, in a sentence."""
    wanted = [offer for offer in offers if applies(wish, offer)]
    if not wanted:
        if wish.deployments:
            return f"there is no WorkspaceDeployment named {', '.join(wish.deployments)}"
        return f"there is no WorkspaceDeployment of type {wish.type}"
    older = sum(other.turn < wish.turn and any(applies(other, offer) for offer in wanted[:1]) for other in wishes)
    place = f"; {older} older Instances wait too" if older else ""
    return f"none is free of {_some(offer.name for offer in wanted)}{place}"


def _some(names: Iterable[str], most: int = 8) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
