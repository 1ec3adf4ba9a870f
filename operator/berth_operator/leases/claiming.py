"""The one place where the operator takes a lease for a waiter."""

import structlog

from berth_core.kube.errors import NotFoundError
from berth_core.leases import leasing
from berth_core.leases.availability import Lease
from berth_core.queue.waiters import Waiter
from berth_core.reading import readable
from berth_core.resources import AccessRule, WorkspaceDeployment
from berth_operator.engine.world import World
from berth_operator.kinds import ACCESS_RULES
from berth_operator.leases.live import Serving, read_deployment
from berth_operator.leases.taking import take_lease

log = structlog.get_logger(__name__)


async def claim(world: World, waiter: Waiter, wd: WorkspaceDeployment) -> Lease | None:
    """Take the lease of a deployment for the waiter whose turn it is; None where that cannot be.

    Afterwards the cache has the deployment as it is.

    Raises:
        berth_core.leases.slots.NoneLeftError: the user has as many of the type as allowed.

    """
    namespace, name = wd.metadata.namespace, wd.metadata.name
    world.state(Serving).add(waiter.instance)
    try:
        if not await _is_permitted(world, waiter, wd):
            return None
        lease = await take_lease(world, wd, instance=waiter.instance, user=waiter.user, owner=waiter.superuser)
    except (leasing.BusyError, NotFoundError):
        await read_deployment(world, namespace, name)
        return None
    else:
        await read_deployment(world, namespace, name)
        log.info("lease taken", instance=waiter.instance, deployment=name, epoch=lease.epoch)
        return lease
    finally:
        world.state(Serving).discard(waiter.instance)


async def _is_permitted(world: World, waiter: Waiter, wd: WorkspaceDeployment) -> bool:
    """Whether the access rules, read live, let a waiter have a deployment."""
    namespace = wd.metadata.namespace
    kind = world.type_named(namespace, wd.spec.type)
    rules, _ = await world.client.list(ACCESS_RULES, namespace, fields={"spec.deployment": wd.metadata.name})
    return kind is not None and waiter.may_have(kind, wd, readable(AccessRule, rules))
