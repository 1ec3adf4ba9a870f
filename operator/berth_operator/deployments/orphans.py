"""Gives back leases whose Instance does not come (ADR 0021).

An id that Berth drew is the name of its Instance, and a create that was sent may come late. So a tombstone takes the
name first: the Instance that then has the name ends in its own pass, and gives the lease back there. No other pass
does. For a uid that the API server gave, a live list proves whether there is such an Instance. If there is none, its
lease is given back here; so is a lease whose Instance has ended or has another deployment.
"""

import time

import structlog

from berth_core import ids
from berth_core.kube.errors import AlreadyExistsError, ForbiddenError, InvalidError, UnavailableError
from berth_core.leases import leasing
from berth_core.leases.availability import Lease
from berth_core.leases.tombstones import bury
from berth_core.leases.waitlist import NOT_GRANTED
from berth_core.queue import order
from berth_core.resources import Instance, Reservation, WorkspaceDeployment
from berth_operator.engine.cache import public_id
from berth_operator.engine.world import World
from berth_operator.engine.writes import Refusals, refresh
from berth_operator.instances.ending import clear, count_failed_end
from berth_operator.instances.hooks.ends import settled
from berth_operator.instances.memory import Memories
from berth_operator.kinds import DEPLOYMENTS, INSTANCES, RESERVATION, RESERVATIONS
from berth_operator.leases.clearing import clear_epoch
from berth_operator.leases.live import Serving
from berth_operator.leases.orphan import Sightings, holder, living, orphan_of, patience

log = structlog.get_logger(__name__)

CLEARING_SECONDS = 1.0
RESERVED_SECONDS = 10.0
"""When to look again at a lease that a reservation's turn will use."""


def holder_in_cache(world: World, wd: WorkspaceDeployment) -> Instance | None:
    """Return the instance that a deployment's lease is for, as last seen."""
    if wd.status.lease is None:
        return None
    holders = world.cache[INSTANCES].by("id", wd.status.lease.instance, wd.metadata.namespace)
    return holder(wd, [Instance.parse(obj) for obj in holders])


async def attend(world: World, wd: WorkspaceDeployment) -> float | None:
    """Take the next step with a deployment's lease where its Instance is missing; seconds until another look."""
    orphan = orphan_of(wd)
    if orphan is None:
        return None
    if holder_in_cache(world, wd) is not None:
        world.state(Sightings).forget(orphan)
        return None
    seconds = patience(orphan) - world.state(Sightings).age(orphan, time.monotonic())
    if seconds > 0:
        return seconds
    if orphan.instance in world.state(Serving):
        return CLEARING_SECONDS
    # From now on an Instance that comes all the same is not bound in this process, until the lease has gone back.
    world.state(Serving).add(orphan.instance)
    try:
        return await _undo(world, wd)
    finally:
        world.state(Serving).discard(orphan.instance)


async def _undo(world: World, wd: WorkspaceDeployment) -> float | None:
    lease, namespace = wd.status.lease, wd.metadata.namespace
    if lease is None:
        return None
    pages = world.client.pages(INSTANCES, namespace)
    # One of that id that cannot be read is there all the same: then this pass ends here, and the lease stays.
    same = [Instance.parse(obj) async for page, _ in pages for obj in page if public_id(obj) == lease.instance]
    if there := holder(wd, same):
        await refresh(world, INSTANCES, namespace, there.metadata.name)  # its watch has not told of it
        return CLEARING_SECONDS
    if await _is_reserved(world, namespace, lease.instance):
        return RESERVED_SECONDS
    own = Lease(wd.metadata.name, wd.status.epoch)
    if not same and ids.is_drawn(lease.instance) and await _buried(world, namespace, own, lease.instance, lease.user):
        return CLEARING_SECONDS
    # An instance that has another deployment opened nothing here, and what it has is not ours to clear.
    if not living(same) and not await clear(world, namespace, lease.instance, own):
        return CLEARING_SECONDS
    if not await clear_epoch(world, namespace, own):
        return CLEARING_SECONDS
    await refresh(world, DEPLOYMENTS, namespace, wd.metadata.name)
    outcome = await settled(world, world.deployment(namespace, wd.metadata.name) or wd, own, lease.instance)
    if outcome is None:
        return CLEARING_SECONDS
    count_failed_end(outcome)
    await leasing.give_back(
        world.client,
        namespace,
        own,
        instance=lease.instance,
        completed=False,
        now=world.now(),
        conditions=outcome,
    )
    world.state(Refusals).forget(lease.instance)
    if not living(same):
        world.state(Memories).forget(namespace, lease.instance)
    await refresh(world, DEPLOYMENTS, namespace, wd.metadata.name)
    log.warning("lease without an Instance given back", deployment=wd.metadata.name, instance=lease.instance)
    return None


async def _buried(world: World, namespace: str, lease: Lease, instance: str, user: str) -> bool:
    """Take the name of an Instance that does not come; False where the cluster refuses every Instance for good.

    Then, as with an exhausted quota, one that was on its way is refused too, or finds its claim lost.
    """
    try:
        tombstone = await bury(world.client, namespace, lease, instance=instance, user=user)
    except AlreadyExistsError:
        await refresh(world, INSTANCES, namespace, instance)  # it has come
    except UnavailableError:
        raise
    except (ForbiddenError, InvalidError) as error:
        if not world.state(Refusals).confirmed(instance, time.monotonic()):
            raise
        log.warning("the cluster refuses a tombstone", instance=instance, error=error.message)
        return False
    else:
        world.cache[INSTANCES].put(tombstone)
        log.warning("an Instance did not come; its name is taken", instance=instance, deployment=lease.deployment)
    world.state(Refusals).forget(instance)
    return True


async def _is_reserved(world: World, namespace: str, instance: str) -> bool:
    """Whether a reservation's turn, which makes that instance, has begun and not ended, read live."""
    # In this order: one that is granted in between is in the second list.
    waits, _ = await world.client.list(RESERVATIONS, namespace, fields=NOT_GRANTED)
    granted, _ = await world.client.list(RESERVATIONS, namespace, fields={"status.grant.instance": instance})
    for obj in (*waits, *granted):
        metadata = obj["metadata"]
        if ids.turn_instance(metadata["uid"]) == instance and not metadata.get("deletionTimestamp"):
            # One that cannot be read may be going on: then this pass ends here, and the lease stays.
            if not order.is_settled(Reservation.parse(obj)):
                world.add(RESERVATION, namespace, metadata["name"])
                return True
    return False
