"""ResourceClaims of leases: one for each device of a machine and each epoch (ADR 0056).

A claim is made before the first pod that uses it, and the scheduler allocates it with that pod. Kubernetes frees it
when no reservation is left, as between a hook and the workspace. So the operator adds the Instance to the reservations,
and takes it away when nothing of the lease runs.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import structlog

from berth_core import names
from berth_core.kube.errors import AlreadyExistsError, ConflictError, InvalidError, NotFoundError
from berth_core.kube.types import Object
from berth_core.reading import at
from berth_core.resources import Instance
from berth_core.resources.machines.devices import MachineDevice
from berth_operator.engine.world import World
from berth_operator.engine.writes import refresh
from berth_operator.kinds import CLAIMS, INSTANCES

log = structlog.get_logger(__name__)

_CONSUMER: Final = {"apiGroup": names.GROUP, "resource": INSTANCES.plural}


async def make(world: World, manifests: Sequence[Object]) -> None:
    """Make the claims of a lease where they are missing.

    Raises:
        InvalidError: the API server refuses a selector, or another's claim has the name.

    """
    for manifest in manifests:
        metadata = manifest["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        try:
            claim = await world.client.create(CLAIMS, namespace, manifest)
        except AlreadyExistsError:
            claim = await world.client.get(CLAIMS, namespace, name)
        if not _is_of(claim, manifest):
            raise InvalidError(f"the ResourceClaim {name} is not Berth's: delete it", status=422)
        world.cache[CLAIMS].put(claim)


def unallocated(world: World, instance: Instance) -> tuple[MachineDevice, ...]:
    """Return devices of an instance's machine that it has not been given, as last seen."""
    given = {claim["metadata"]["name"] for claim in _known(world, instance) if at(claim, "status", "allocation")}
    return tuple(device for device in instance.devices if _name(instance, device) not in given)


def unreserved(world: World, instance: Instance) -> list[Object]:
    """Return claims of an instance that were allocated and may be freed behind its back, as last seen."""
    return [
        claim
        for claim in _known(world, instance)
        if at(claim, "status", "allocation")
        and not claim["metadata"].get("deletionTimestamp")
        and not any(entry["uid"] == instance.metadata.uid for entry in _reservations(claim))
    ]


async def reserve(world: World, instance: Instance) -> None:
    """Reserve an instance's claims for it, each at the version that was seen.

    Raises:
        ConflictError: the claim was changed meanwhile; the cache has it as it is then.

    """
    own = {**_CONSUMER, "name": instance.metadata.name, "uid": instance.metadata.uid}
    for claim in unreserved(world, instance):
        await _write(world, claim, [*_reservations(claim), own])
        log.info("device reserved", instance=instance.public_id, claim=claim["metadata"]["name"])


def concern(world: World, namespace: str, instance_id: str) -> bool:
    """Whether an instance (public id) may have claims: for others nothing need be asked."""
    instances = world.cache[INSTANCES].by("id", instance_id, namespace)
    if not instances or world.cache[CLAIMS].by("instance", instance_id, namespace):
        return True
    return any(at(obj, "status", "machine", "devices") for obj in instances)


async def let_go(world: World, namespace: str, instance_id: str) -> bool:
    """Free the devices of an instance of which nothing runs; True once a live list finds no claim of it.

    A claim that is being deleted is neither allocated nor reserved for another pod. So it is deleted first: it goes
    when its last reservation is away. From then on its devices are free.
    """
    if not concern(world, namespace, instance_id):
        return True
    claims = await _left(world, namespace, instance_id)
    for claim in claims:
        await _let_go(world, claim)
    if claims and (claims := await _left(world, namespace, instance_id)):
        log.info("not gone yet", instance=instance_id, left=[claim["metadata"]["name"] for claim in claims])
    for claim in world.cache[CLAIMS].by("instance", instance_id, namespace) if not claims else ():
        world.cache[CLAIMS].remove(claim)
    return not claims


async def _left(world: World, namespace: str, instance_id: str) -> list[Object]:
    """List the claims of an instance live."""
    try:
        claims, _ = await world.client.list(CLAIMS, namespace, labels={names.INSTANCE_LABEL: instance_id})
    except NotFoundError:  # the cluster has no Dynamic Resource Allocation
        return []
    return claims


async def _let_go(world: World, claim: Object) -> None:
    metadata = claim["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    if not metadata.get("deletionTimestamp"):
        await world.client.delete(CLAIMS, namespace, name, uid=metadata["uid"])
        try:
            claim = await world.client.get(CLAIMS, namespace, name)
        except NotFoundError:  # it was allocated to nobody
            return
    others = [entry for entry in _reservations(claim) if not entry.items() >= _CONSUMER.items()]
    if others != _reservations(claim):
        await _write(world, claim, others)
        log.info("device let go", claim=name)


async def _write(world: World, claim: Object, reservations: list[Object]) -> None:
    metadata = claim["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    body: Object = {
        "metadata": {"resourceVersion": metadata["resourceVersion"]},
        "status": {"reservedFor": reservations or None},
    }
    try:
        world.cache[CLAIMS].put(await world.client.patch(CLAIMS, namespace, name, body, subresource="status"))
    except NotFoundError:
        await refresh(world, CLAIMS, namespace, name)
    except ConflictError:
        await refresh(world, CLAIMS, namespace, name)
        raise


def _known(world: World, instance: Instance) -> Iterator[Object]:
    """Yield the claims of an instance's lease, as last seen."""
    for device in instance.devices:
        claim = world.cache[CLAIMS].get(instance.metadata.namespace, _name(instance, device))
        if claim is not None:
            yield claim


def _name(instance: Instance, device: MachineDevice) -> str:
    return names.claim_object(instance.public_id, instance.status.epoch or 0, device.name)


def _reservations(claim: Object) -> list[Object]:
    return list(at(claim, "status", "reservedFor") or ())


def _is_of(claim: Object, manifest: Object) -> bool:
    """Whether a claim is the lease's. Its labels say so, which only Berth writes; owners may be taken off a claim."""
    wanted, labels = manifest["metadata"]["labels"], claim["metadata"].get("labels") or {}
    return bool(wanted.items() <= labels.items())
