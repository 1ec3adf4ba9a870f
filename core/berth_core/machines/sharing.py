"""Which of several deployments may have an endpoint. Pure.

Two deployments may share an address with ports that differ. Of two that overlap, one is lent: a lease that runs keeps
its endpoints, and else the older deployment has them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from berth_core.firewall import Endpoints, parse_source
from berth_core.machines.placement import IN_USE, Fault

_BLOCK = {4: 24, 6: 64}
"""Prefix lengths of blocks. No address of a machine is larger, so those that overlap have a block in common."""


@dataclass(frozen=True)
class Claimant:
    """A deployment, with the endpoints that its spec names and those that a lease of it has."""

    namespace: str
    name: str
    uid: str
    created: str
    """``metadata.creationTimestamp``."""
    named: Endpoints | None = None
    """None where it is dissolved, or names none."""
    held: Endpoints | None = None
    """None where nobody has its lease."""

    @property
    def age(self) -> tuple[str, str]:
        """Sort key: the oldest first, and by uid where two were made in one second."""
        return self.created, self.uid


def blocks(addresses: Iterable[str]) -> Iterator[str]:
    """Yield the blocks of addresses, to look up others that may overlap with them."""
    for text in addresses:
        network = parse_source(text)
        yield str(network.supernet(new_prefix=min(network.prefixlen, _BLOCK[network.version])))


def in_use(this: Claimant, others: Iterable[Claimant]) -> Fault | None:
    """Return why a deployment cannot have the endpoints that it names; None where it can."""
    wanted = this.named
    if wanted is None:
        return None
    rivals = sorted(others, key=lambda other: other.age)
    if (fault := held_by(wanted, rivals)) is not None:
        return fault
    for other in rivals:
        if other.age < this.age and other.named is not None and other.named.overlaps(wanted):
            return _fault(other, "it is the older one")
    return None


def held_by(wanted: Endpoints, others: Iterable[Claimant]) -> Fault | None:
    """Return that a lease of another deployment has some of the endpoints; None where none does."""
    for other in others:
        if other.held is not None and other.held.overlaps(wanted):
            return _fault(other, "a lease of it has them")
    return None


def _fault(other: Claimant, why: str) -> Fault:
    message = (
        f"the endpoints in spec.machine.network are those of deployment {other.namespace}/{other.name} too, and {why}:"
        " give each deployment addresses or ports of its own, or delete one of the two"
    )
    return Fault(IN_USE, message)
