"""One pass over those of a namespace that wait: leases are taken for them one after the other, the oldest first."""

from typing import Final

import structlog

from berth_core import leasing, slots, state
from berth_core.client import Object
from berth_core.errors import NotFoundError
from berth_operator.decide.choice import Offer, Offers, Wish, in_turn
from berth_operator.kinds import DEPLOYMENTS, INSTANCES
from berth_operator.observe import read_deployment
from berth_operator.queueing import Key
from berth_operator.taking import take_lease
from berth_operator.world import INSTANCE, World

log = structlog.get_logger(__name__)

MOST_TAKEN: Final = 20
"""Leases taken in one pass, so that no pass lasts for long."""
QUOTA_SECONDS: Final = 1.0
"""When to look again where a slot that may come to nothing stood in the way."""


async def reconcile_turn(world: World, key: Key) -> float | None:
    """Give what is free to those whose turn it is; each is bound in its own pass."""
    namespace = key.namespace
    wishes = [wish for wish in waiting(world, namespace) if not _served(world, namespace, wish)]
    if not wishes:
        return None
    offers = Offers(Offer.of(obj) for obj in world.store.all(DEPLOYMENTS) if obj["metadata"]["namespace"] == namespace)
    taken, again = 0, None
    for wish in in_turn(wishes):
        try:
            taken += await _serve(world, namespace, wish, offers)
        except slots.NoneLeftError as error:
            again = QUOTA_SECONDS if error.passing else again
            _pass_over(world, namespace, wish, str(error))
        if taken >= MOST_TAKEN:
            return 0.0
    return again


def waiting(world: World, namespace: str) -> list[Wish]:
    """Instances of a namespace that wait and are not about to end."""
    return [Wish.of(obj) for obj in world.store.by(INSTANCES, "waiting", "yes", namespace) if not _leaves(obj)]


async def _serve(world: World, namespace: str, wish: Wish, offers: Offers) -> bool:
    """Take the best deployment that can still be had; nobody younger is looked at before that has failed."""
    world.memories.of(namespace, wish.public_id).passed_over = ""
    while offer := offers.best(wish):
        try:
            lease = await take_lease(world, namespace, offer.name, offer.type, instance=wish.public_id, user=wish.user)
        except (leasing.BusyError, NotFoundError):
            offers.drop(offer)
            await read_deployment(world, namespace, offer.name)
            continue
        offers.drop(offer)
        await read_deployment(world, namespace, offer.name)
        log.info("lease taken", instance=wish.public_id, deployment=offer.name, epoch=lease.epoch)
        world.add(INSTANCE, namespace, wish.name)
        return True
    if not _says_that_it_waits(world.store.get(INSTANCES, namespace, wish.name)):
        world.add(INSTANCE, namespace, wish.name)
    return False


def _pass_over(world: World, namespace: str, wish: Wish, why: str) -> None:
    """Let the next one have its turn; a deployment that is given back brings this one's again."""
    world.memories.of(namespace, wish.public_id).passed_over = why
    if not _says_that_it_waits(world.store.get(INSTANCES, namespace, wish.name)):
        world.add(INSTANCE, namespace, wish.name)


def _served(world: World, namespace: str, wish: Wish) -> bool:
    """Whether it holds a lease already, and is about to be bound."""
    if not world.store.by(DEPLOYMENTS, "holder", wish.public_id, namespace):
        return False
    world.add(INSTANCE, namespace, wish.name)
    return True


def _says_that_it_waits(obj: Object | None) -> bool:
    conditions = ((obj or {}).get("status") or {}).get("conditions") or ()
    return any(c["type"] == state.BOUND and c["status"] == "False" for c in conditions)


def _leaves(obj: Object) -> bool:
    return bool(obj["spec"].get("terminate") or obj["metadata"].get("deletionTimestamp"))
