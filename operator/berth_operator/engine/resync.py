"""Fresh lists: at the start of leading, every ten minutes as a net, and after a watch began.

A watch that begins tells what is there and not what vanished since it was last known; the list does.
"""

import asyncio
import time
from typing import Final

import structlog

from berth_core.kube.errors import GoneError, NotFoundError, UnavailableError
from berth_core.kube.reflector import take_list
from berth_core.kube.types import Kind
from berth_operator.engine.controllers import Controllers, wake, wake_gone
from berth_operator.engine.readability import judge
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import World
from berth_operator.engine.writes import together
from berth_operator.kinds import RELIST

log = structlog.get_logger(__name__)

EVERY_SECONDS: Final = 600.0
SETTLE_SECONDS: Final = 2.0
LONGEST_PAUSE: Final = 5.0


async def relist(world: World, kind: Kind) -> None:
    """List a kind in all namespaces, take that over into the cache, and wake what vanished."""
    controllers, cache = world.state(Controllers), world.cache[kind]
    namespaces = world.config.workspace_namespaces if kind.namespaced else (None,)
    for namespace in namespaces:
        try:
            keys, version = await take_list(world.client, kind, namespace, controllers.labels(kind), cache.put)
        except NotFoundError:
            if not controllers.optional(kind):
                raise
            log.debug("the cluster has no such kind", kind=kind.plural)
            return
        for obj in cache.retain(namespace or "", keys, version):
            wake_gone(world, kind, obj)
        for watch in controllers.watches[kind]:
            if watch.on_list is not None:
                watch.on_list(world, namespace or "", int(version))


async def first_lists(world: World) -> None:
    """List everything before the first pass, however long the API server takes to answer."""
    while True:
        try:
            return await relist_all(world)
        except UnavailableError as error:
            log.warning("cannot list yet", error=error.message)
            await asyncio.sleep(min(error.retry_after, LONGEST_PAUSE))
        except GoneError:
            log.warning("listing took so long that it begins anew")


async def relist_all(world: World) -> None:
    """List everything that is watched, and have the subjects take note of it."""
    controllers = world.state(Controllers)
    last = {kind for kind, watches in controllers.watches.items() if any(watch.on_list for watch in watches)}
    await together(*(relist(world, kind) for kind in controllers.watches if kind not in last))
    await together(*(relist(world, kind) for kind in last))
    for one in controllers.all:
        if one.relisted is not None:
            await one.relisted(world)


def wake_all(world: World) -> None:
    """Ask for a pass over everything that is known, and for every sweep, in the order of the subjects."""
    controllers = world.state(Controllers)
    for kind, cache in world.cache.items():
        cache.all_heard()
        for obj in cache:
            judge(world, kind, obj)
            wake(world, kind, obj)
        for obj in cache.unreadable():
            judge(world, kind, obj)
    for sort in (sort for one in controllers.all for sort in one.sweeps):
        world.add(sort, "", "")
    world.queue.add_after(Key(RELIST, "", ""), EVERY_SECONDS)


def watch_begins(world: World, plural: str) -> None:
    """Take note that a watch of a kind begins, or goes on to tell what is there: a list follows."""
    if plural in _kinds(world):
        world.watches_began[plural] = time.monotonic()
        world.queue.add_after(Key(RELIST, "", plural), SETTLE_SECONDS)


def catch_up(world: World, since: float) -> None:
    """List again where a watch has begun while everything was listed: nobody knows which of the two was first."""
    for plural, began in world.watches_began.items():
        if began >= since:
            world.queue.add_after(Key(RELIST, "", plural), SETTLE_SECONDS)


async def reconcile_relist(world: World, key: Key) -> float | None:
    """Pass over one kind (``key.name`` is its plural) after its watch began, or over all as the net.

    A watch that begins tells of thousands of objects for seconds: one list when it is through is enough.
    """
    if key.name:
        began = world.watches_began.get(key.name)
        if began is not None and (wait := began + SETTLE_SECONDS - time.monotonic()) > 0:
            return wait
        await relist(world, _kinds(world)[key.name])
        return None
    await relist_all(world)
    wake_all(world)
    log.debug("relisted")
    return EVERY_SECONDS


def _kinds(world: World) -> dict[str, Kind]:
    return {kind.plural: kind for kind in world.state(Controllers).watches}
