"""Writes that the cache learns of at once, so that the next pass sees what this one did."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, Final

from berth_core import names
from berth_core.kube.errors import AlreadyExistsError, NotFoundError
from berth_core.kube.model import Model
from berth_core.kube.types import Kind, Object
from berth_core.resources import Instance, Resource
from berth_operator.engine.world import TermState, World
from berth_operator.kinds import INSTANCES, PODS

CONFIRM_SECONDS: Final = 10.0
"""How long a refusal must last before it counts: an API server that has just started has not read all rights."""


async def write_status(world: World, resource: Resource, old: Model, new: Model) -> Object | None:
    """Write the status where it differs; return the object as it is then, None where nothing was written.

    Raises:
        berth_core.kube.errors.ConflictError: somebody wrote in between; the cache has the live object then.

    """
    difference = changes(old, new)
    if not difference:
        return None
    body = {"metadata": {"resourceVersion": resource.metadata.resource_version}, "status": difference}
    kind = type(resource).api()
    live = await world.client.patch(
        kind, resource.metadata.namespace, resource.metadata.name, body, subresource="status"
    )
    world.cache[kind].put(live)
    return live


async def set_finalizer(world: World, instance: Instance, *, present: bool) -> Instance:
    """Put our finalizer on an Instance or take it off; the Instance as it is then."""
    others = [f for f in instance.metadata.finalizers if f != names.FENCE_FINALIZER]
    finalizers = [*others, names.FENCE_FINALIZER] if present else others
    if list(instance.metadata.finalizers) == finalizers:
        return instance
    body = {"metadata": {"resourceVersion": instance.metadata.resource_version, "finalizers": finalizers or None}}
    live = await world.client.patch(INSTANCES, instance.metadata.namespace, instance.metadata.name, body)
    if present:
        world.cache[INSTANCES].put(live)
    return Instance.parse(live)


async def release_pod(world: World, namespace: str, name: str) -> None:
    """Take our finalizer off a pod, at the version in the cache: what was seen of it is still so, or this fails."""
    pod = world.cache[PODS].get(namespace, name)
    if pod is None:
        return
    metadata = pod["metadata"]
    others = [f for f in metadata.get("finalizers") or () if f != names.FENCE_FINALIZER]
    body = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": others or None}}
    try:
        await world.client.patch(PODS, namespace, name, body)
    except NotFoundError:
        world.cache[PODS].remove(pod)


async def refresh(world: World, kind: Kind, namespace: str, name: str) -> None:
    """Read an object live into the cache. A successor that was heard of before the answer stays there."""
    before = world.cache[kind].get(namespace, name)
    try:
        world.cache[kind].put(await world.client.get(kind, namespace, name))
    except NotFoundError:
        if before is not None:
            world.cache[kind].remove(before)


async def refresh_pod(world: World, namespace: str, name: str) -> None:
    """Read a pod live into the cache."""
    await refresh(world, PODS, namespace, name)


async def refresh_instance(world: World, namespace: str, name: str) -> None:
    """Read an Instance live into the cache."""
    await refresh(world, INSTANCES, namespace, name)


def changes(old: Model, new: Model) -> dict[str, object]:
    """Merge patch from one status to another: absent fields become null; empty where nothing differs."""
    if old == new:
        return {}
    before, after = old.wire(), new.wire()
    return {key: after.get(key) for key in {*before, *after} if before.get(key) != after.get(key)}


async def together(*writes: Awaitable[Any]) -> list[Any]:
    """Await all; their results in order. When some fail, the first failure is raised after all have ended.

    (``asyncio.gather`` alone would raise at once and leave the others running behind the back of the work queue.)
    """
    results = await asyncio.gather(*writes, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


async def create(world: World, kind: Kind, body: Object | None) -> Object | None:
    """Make an object; None where there is nothing to make, or the name is taken: by what was made before."""
    if body is None:
        return None
    try:
        return await world.client.create(kind, body["metadata"]["namespace"], body)
    except AlreadyExistsError:
        return None


@dataclass
class Refusals(TermState):
    """Since when the cluster refuses to have some object made, in seconds on a monotonic clock."""

    since: dict[str, float] = field(default_factory=dict)
    """By the object's name, or the public id that becomes it."""

    def confirmed(self, instance: str, now: float) -> bool:
        """Take note of another refusal; whether it has been refused for so long that this counts."""
        return now - self.since.setdefault(instance, now) >= CONFIRM_SECONDS

    def forget(self, instance: str) -> None:
        """Take note that it is over."""
        self.since.pop(instance, None)

    def clear(self) -> None:
        """Drop everything: another process leads."""
        self.since.clear()
