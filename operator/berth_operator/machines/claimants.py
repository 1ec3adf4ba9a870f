"""Deployments with endpoints of machines, as the caches show them, and the endpoints that a bind has in hand.

An Instance that is bound and has not given its lease back holds what its ``status.machine`` names: that status is the
lock. One process leads, and binds of its own do not overlap (:class:`Binding`). A bind of a former leader that lands
late is found before anything is opened for it (:func:`fault_of_bound`).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

from berth_core.firewall import Endpoints
from berth_core.kube.errors import ConflictError
from berth_core.kube.types import Object
from berth_core.machines.placement import Fault
from berth_core.machines.sharing import Claimant, blocks, claimant, held_by, in_use, is_unlendable
from berth_core.reading import at
from berth_core.resources import Instance, WorkspaceDeployment
from berth_core.resources.machines.network import MachineEndpoints, MachinePort
from berth_operator.engine.cache import public_id
from berth_operator.engine.world import TermState, World
from berth_operator.kinds import DEPLOYMENTS, INSTANCES
from berth_operator.machines import grants

AGAIN_SECONDS: Final = 5.0
"""When to look again whether an endpoint is in use: a lease may have one that its deployment names no more."""


class Binding(dict[str, Endpoints], TermState):
    """Endpoints of instances (by uid) that this process is binding."""


def blocks_named(deployment: Object) -> Iterable[str]:
    """Index of deployments: blocks of the addresses that the spec names."""
    return set(blocks(at(deployment, "spec", "machine", "network", "addresses") or ()))


def blocks_held(instance: Object) -> Iterable[str]:
    """Index of Instances: blocks of the addresses that one holds which has not ended."""
    if at(instance, "status", "endTime"):
        return ()
    return set(blocks(at(instance, "status", "machine", "network", "addresses") or ()))


def fault(world: World, wd: WorkspaceDeployment) -> Fault | None:
    """Return why the machine of a deployment is not lent; None where it is, or has no address."""
    network = wd.network
    if (not_granted := grants.fault(world, wd)) is not None or network is None:
        return not_granted
    others = _others(world, wd.metadata.uid, network.reached())
    return world.config.grounds.fault(network) or in_use(claimant(wd, own=True), others)


def fault_of_bound(world: World, wd: WorkspaceDeployment, instance: Instance) -> Fault | None:
    """Return why nothing may be opened for an instance that is bound: a lease of another deployment has its machine."""
    network = instance.network
    if network is None:
        return None
    return held_by(network.reached(), _others(world, wd.metadata.uid, network.reached()))


def rivals(world: World, deployment: Object) -> Iterator[Object]:
    """Yield other deployments that name some of the endpoints that a deployment names."""
    if (named := at(deployment, "spec", "machine", "network")) is not None:
        yield from _named(world, deployment["metadata"]["uid"], _endpoints(named))


@contextmanager
def reserved(world: World, wd: WorkspaceDeployment, instance: Instance) -> Iterator[None]:
    """Have the machine of a deployment in hand while an instance is bound to it.

    Raises:
        berth_core.kube.errors.ConflictError: another has some of its endpoints since this was decided.

    """
    if wd.network is None:
        yield
        return
    binding, reached, uid = world.state(Binding), wd.network.reached(), instance.metadata.uid
    if any(reached.overlaps(others) for others in binding.values()) or fault(world, wd) is not None:
        raise ConflictError(f"the endpoints of {wd.metadata.name} are in use since")
    binding[uid] = reached
    try:
        yield
    finally:
        binding.pop(uid, None)


def _others(world: World, but: str, reached: Endpoints) -> Iterator[Claimant]:
    """Yield what others than a deployment (its uid) name and hold of some endpoints.

    Hundreds may share a block, so objects are not parsed here.
    """
    yield from (_naming(obj) for obj in _named(world, but, reached))
    found = {
        obj["metadata"]["uid"]: obj for block in _blocks(reached) for obj in world.cache[INSTANCES].by("block", block)
    }
    for obj in (*found.values(), *world.cache[INSTANCES].unreadable()):
        held = _held_by(world, but, obj)
        if held is not None and held.held is not None and held.held.overlaps(reached):
            yield held


def _named(world: World, but: str, reached: Endpoints) -> Iterator[Object]:
    found = {
        obj["metadata"]["uid"]: obj for block in _blocks(reached) for obj in world.cache[DEPLOYMENTS].by("block", block)
    }
    found.pop(but, None)
    return (obj for obj in found.values() if _endpoints(obj["spec"]["machine"]["network"]).overlaps(reached))


def _naming(obj: Object) -> Claimant:
    metadata, status = obj["metadata"], obj.get("status") or {}
    goes = obj["spec"].get("dissolved") or metadata.get("deletionTimestamp")
    told = ((one["type"], one["status"], one["reason"]) for one in status.get("conditions") or ())
    named = None if goes or is_unlendable(told) else _endpoints(obj["spec"]["machine"]["network"])
    recorded = _endpoints(status["endpoints"]) if "endpoints" in status else None
    of = metadata["namespace"], metadata["name"], metadata["uid"], metadata["creationTimestamp"]
    return Claimant(*of, named=named, recorded=recorded)


def _held_by(world: World, but: str, instance: Object) -> Claimant | None:
    """Return what an Instance holds; None where its lease has gone back, or is of the deployment ``but``.

    Where its deployment is not there or cannot be read, its pod may run all the same.
    """
    metadata, network = instance["metadata"], at(instance, "status", "machine", "network")
    if network is None or at(instance, "status", "endTime"):
        return None
    name = str(at(instance, "status", "deployment") or "")
    of = world.cache[DEPLOYMENTS].get(metadata["namespace"], name)
    if of is not None:
        lease = at(of, "status", "lease", "instance"), at(of, "status", "epoch")
        if of["metadata"]["uid"] == but or lease != (public_id(instance), at(instance, "status", "epoch")):
            return None
    created, held = metadata.get("creationTimestamp", ""), _endpoints(network)
    return Claimant(metadata["namespace"], name, metadata["uid"], created, held=held)


def _blocks(reached: Endpoints) -> set[str]:
    return set(blocks(map(str, reached.networks)))


def _endpoints(network: Object) -> Endpoints:
    ports = network.get("ports") or ()
    return _read(
        tuple(network["addresses"]),
        tuple((one.get("protocol") or "TCP", one["port"], one.get("endPort")) for one in ports),
    )


@lru_cache(maxsize=16384)
def _read(addresses: tuple[str, ...], ports: tuple[tuple[Any, int, int | None], ...]) -> Endpoints:
    written = [MachinePort(protocol=protocol, port=port, end_port=end) for protocol, port, end in ports]
    return MachineEndpoints(addresses=list(addresses), ports=written).reached()
