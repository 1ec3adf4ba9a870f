"""Deployments read live: a lease rests on nothing older."""

from berth_core.queue.waiters import Waiter
from berth_core.resources import WorkspaceDeployment
from berth_operator.engine.world import World
from berth_operator.engine.writes import refresh
from berth_operator.kinds import DEPLOYMENTS


class Serving(set[str]):
    """Instances (public ids) for which a lease is being taken or given back: their own passes do not bind them."""


async def read_deployment(world: World, namespace: str, name: str) -> WorkspaceDeployment | None:
    """Read a deployment live; what is known then is no older than that."""
    await refresh(world, DEPLOYMENTS, namespace, name)
    return world.deployment(namespace, name)


async def held_deployment(world: World, waiter: Waiter) -> WorkspaceDeployment | None:
    """Return the deployment whose lease was taken for a waiter: the cache says where, a live read whether.

    The one that ``status.returned`` names comes first: no other is used, or named there, before it has gone.
    """
    namespace, mark = waiter.namespace, waiter.resource.status.returned
    names_of = [obj["metadata"]["name"] for obj in world.cache[DEPLOYMENTS].by("holder", waiter.instance, namespace)]
    if mark is not None and names_of:
        names_of.insert(0, mark.deployment)
    for name in dict.fromkeys(names_of):
        wd = await read_deployment(world, namespace, name)
        lease = wd.status.lease if wd is not None else None
        # A name can be chosen with kubectl, and with it the id: the user must be the same too.
        if lease is not None and (lease.instance, lease.user) == (waiter.instance, waiter.user):
            return wd
    return None
