"""Leases that a former leader took beyond their user's quota: they go back unused (ADR 0010).

First ``status.returned`` of whom it was taken for names the lease, by a compare-and-swap. Bound and the grant are
compare-and-swaps of the same status, so from then on nobody begins to use that lease, and whoever gives it back late
gives back what is unused. No other lease is named before that one has gone.
"""

import structlog

from berth_core.leases import leasing
from berth_core.leases.leasing import Lease
from berth_operator.engine.writes import write_status
from berth_operator.instances import status
from berth_operator.instances.ending import clear_epoch
from berth_operator.instances.observe import read_deployment
from berth_operator.instances.observed import ObservedInstance
from berth_operator.instances.plan import Plan
from berth_operator.world import World

log = structlog.get_logger(__name__)


async def mark(world: World, seen: ObservedInstance, plan: Plan) -> None:
    """Write down that the lease of an Instance goes back."""
    if seen.held is None:
        raise RuntimeError("only the lease of an instance that has one goes back")
    instance = seen.instance
    await write_status(world, instance, instance.status, status.returning(instance, seen.held, plan, world.now()))


async def give_back(world: World, namespace: str, lease: Lease, instance: str) -> bool:
    """Give back a lease that ``status.returned`` names; False while what was kept warm for it is left."""
    if not await clear_epoch(world, namespace, lease):
        return False
    await leasing.give_back(world.client, namespace, lease, instance=instance, completed=False, now=world.now())
    await read_deployment(world, namespace, lease.deployment)
    world.memories.forget(namespace, instance)  # nothing that was tried with this lease counts for the next
    log.warning("unused lease given back", instance=instance, deployment=lease.deployment, epoch=lease.epoch)
    return True
