"""Writes that the cache learns of at once, so that the next pass sees what this one did."""

from berth_core import names
from berth_core.kube.errors import NotFoundError
from berth_core.kube.model import Model
from berth_core.kube.types import Kind, Object
from berth_core.resources import Instance, Resource
from berth_operator.instances.status import changes
from berth_operator.kinds import INSTANCES, PODS
from berth_operator.world import World


async def write_status(world: World, resource: Resource, old: Model, new: Model) -> Object | None:
    """Write the status where it differs; the object as it is then, None where nothing was written.

    Raises:
        berth_core.kube.errors.ConflictError: somebody wrote in between; the cache has the live object then.

    """
    difference = changes(old, new)
    if not difference:
        return None
    body = {"metadata": {"resourceVersion": resource.metadata.resource_version}, "status": difference}
    kind = type(resource).api()
    written = await world.client.patch(
        kind, resource.metadata.namespace, resource.metadata.name, body, subresource="status"
    )
    world.store.put(kind, written)
    return written


async def set_finalizer(world: World, instance: Instance, *, present: bool) -> Instance:
    """Put our finalizer on an Instance or take it off; the Instance as it is then."""
    others = [f for f in instance.metadata.finalizers if f != names.FENCE_FINALIZER]
    wanted = [*others, names.FENCE_FINALIZER] if present else others
    if list(instance.metadata.finalizers) == wanted:
        return instance
    body = {"metadata": {"resourceVersion": instance.metadata.resource_version, "finalizers": wanted or None}}
    written = await world.client.patch(INSTANCES, instance.metadata.namespace, instance.metadata.name, body)
    if present:
        world.store.put(INSTANCES, written)
    return Instance.parse(written)


async def release_pod(world: World, namespace: str, name: str) -> None:
    """Take our finalizer off a pod, at the version in the cache: what was seen of it is still so, or this fails."""
    pod = world.store.get(PODS, namespace, name)
    if pod is None:
        return
    metadata = pod["metadata"]
    others = [f for f in metadata.get("finalizers") or () if f != names.FENCE_FINALIZER]
    body = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": others or None}}
    try:
        await world.client.patch(PODS, namespace, name, body)
    except NotFoundError:
        world.store.remove(PODS, pod)


async def refresh(world: World, kind: Kind, namespace: str, name: str) -> None:
    """Read an object live into the cache. What was made again, and heard of before the answer, stays there."""
    known = world.store.get(kind, namespace, name)
    try:
        world.store.put(kind, await world.client.get(kind, namespace, name))
    except NotFoundError:
        if known is not None:
            world.store.remove(kind, known)


async def refresh_pod(world: World, namespace: str, name: str) -> None:
    """Read a pod live into the cache."""
    await refresh(world, PODS, namespace, name)


async def refresh_instance(world: World, namespace: str, name: str) -> None:
    """Read an Instance live into the cache."""
    await refresh(world, INSTANCES, namespace, name)
