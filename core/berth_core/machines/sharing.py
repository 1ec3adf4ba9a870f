"""Which of several deployments may have an endpoint. Pure.

Two deployments may share an address with ports that differ. Of two that overlap, one is lent: a lease that runs keeps
its endpoints, and else the deployment that named them first, as its ``status.endpoints`` records. Where neither has a
record, or both, the older has them. A deployment with a fault of its own blocks nobody.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from berth_core.firewall import Endpoints, parse_source
from berth_core.machines.placement import IN_USE, NOT_GRANTED, OUT_OF_REACH, OUTSIDE, Fault
from berth_core.resources import WorkspaceDeployment
from berth_core.resources.machines.network import MachineEndpoints

_ITS_OWN = frozenset({OUTSIDE, OUT_OF_REACH, NOT_GRANTED})
_BLOCK = {4: 24, 6: 64}
"""Prefix lengths of blocks. No address of a machine is larger, so those that overlap have a block in common."""


@dataclass(frozen=True)
class Claimant:
    """A deployment, with the endpoints that its spec names, those of its record, and those that a lease of it has."""

    namespace: str
    name: str
    uid: str
    created: str
    """``metadata.creationTimestamp``."""
    named: Endpoints | None = None
    """None where it is dissolved, has a fault of its own, or names none."""
    held: Endpoints | None = None
    """None where nobody has its lease."""
    recorded: Endpoints | None = None
    """``status.endpoints``; it counts as far as ``named`` has it still."""

    @property
    def age(self) -> tuple[str, str]:
        """Sort key: the oldest first, and by uid where two were made in one second."""
        return self.created, self.uid

    @property
    def first(self) -> Endpoints | None:
        """Endpoints that it named before others did."""
        return self.recorded.common(self.named) if self.recorded is not None and self.named is not None else None


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
        elder = other.age < this.age
        if _overlap(other.first, wanted) and (elder or not _overlap(other.first, this.first)):
            return _fault(other, "it named them first")
        if _overlap(other.named, wanted) and elder and not _overlap(other.named, this.first):
            return _fault(other, "it is the older one")
    return None


def record(wd: WorkspaceDeployment, fault: Fault | None, *, conflict: bool) -> MachineEndpoints | None:
    """Return which endpoints a deployment has named first; None for none.

    One that meets a rival keeps what it had.

    Args:
        wd: The deployment.
        fault: Why its machine is not lent; None where it is.
        conflict: Whether another deployment has its id.

    """
    network, former = wd.network, wd.status.endpoints
    if network is None or wd.spec.dissolved is not None or conflict or (fault is not None and fault.reason in _ITS_OWN):
        return None
    if fault is None or fault.reason != IN_USE:
        return MachineEndpoints(addresses=network.addresses, ports=network.ports)
    return former


def is_unlendable(conditions: Iterable[tuple[str, str, str]]) -> bool:
    """Whether conditions (type, status, reason) tell a fault of the deployment's own: what it names blocks nobody."""
    return any(
        (kind == "Online" and reason in _ITS_OWN) or (kind == "IdConflict" and status == "True")
        for kind, status, reason in conditions
    )


def claimant(wd: WorkspaceDeployment, *, own: bool = False) -> Claimant:
    """Return what a deployment names and has named first. Of ``own`` faults the asker knows better than its status."""
    of, network, recorded = wd.metadata, wd.network, wd.status.endpoints
    goes = wd.spec.dissolved is not None or of.deletion_timestamp is not None
    conditions = ((one.type, one.status, one.reason) for one in wd.status.conditions)
    silent = not own and (goes or is_unlendable(conditions))
    return Claimant(
        of.namespace,
        of.name,
        of.uid,
        of.creation_timestamp,
        named=network.reached() if network is not None and not silent else None,
        recorded=recorded.reached() if recorded is not None else None,
    )


def held_by(wanted: Endpoints, others: Iterable[Claimant]) -> Fault | None:
    """Return that a lease of another deployment has some of the endpoints; None where none does."""
    for other in others:
        if _overlap(other.held, wanted):
            return _fault(other, "a lease of it has them")
    return None


def _overlap(one: Endpoints | None, two: Endpoints | None) -> bool:
    return one is not None and two is not None and one.overlaps(two)


def _fault(other: Claimant, why: str) -> Fault:
    message = (
        f"the endpoints in spec.machine.network are those of deployment {other.namespace}/{other.name} too, and {why}:"
        " give each deployment addresses or ports of its own, or delete one of the two"
    )
    return Fault(IN_USE, message)
