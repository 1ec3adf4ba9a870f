"""Leases that a former leader took beyond their user's quota: they go back unused (ADR 0010).

First ``status.returned`` of the waiter that it was taken for names the lease, by a compare-and-swap. Bound and the
grant are compare-and-swaps of the same status, so from then on nobody begins to use that lease. So it is unused even
where it is given back late. No other lease is named before that one has gone.
"""

import time

import structlog

from berth_core.leases import leasing
from berth_core.leases.availability import Lease
from berth_core.resources import WorkspaceDeployment
from berth_operator.engine.world import World
from berth_operator.kinds import DEPLOYMENT
from berth_operator.leases.clearing import clear_epoch
from berth_operator.leases.live import read_deployment
from berth_operator.leases.orphan import Sightings, orphan_of

log = structlog.get_logger(__name__)


async def give_back(world: World, namespace: str, lease: Lease, instance: str) -> bool:
    """Give back a lease that ``status.returned`` names; False while what was kept warm for it is left."""
    if not await clear_epoch(world, namespace, lease):
        return False
    await leasing.give_back(world.client, namespace, lease, instance=instance, completed=False, now=world.now())
    await read_deployment(world, namespace, lease.deployment)
    log.warning("unused lease given back", instance=instance, deployment=lease.deployment, epoch=lease.epoch)
    return True


def hand_over(world: World, wd: WorkspaceDeployment) -> None:
    """Have a lease go back at once, of which it is certain that nobody makes its Instance any more."""
    if (orphan := orphan_of(wd)) is not None:
        world.state(Sightings).backdate(orphan, time.monotonic())
        world.add(DEPLOYMENT, wd.metadata.namespace, wd.metadata.name)
