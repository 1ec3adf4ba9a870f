"""Fresh lists: at the start of leading, every ten minutes as a net, and after a watch began.

A watch that begins tells what is there and not what vanished since it was last known; the list does.
"""

import asyncio
import time
from typing import Final

import structlog

from berth_core import ids
from berth_core.kube.errors import GoneError, UnavailableError
from berth_core.kube.types import Kind
from berth_operator.engine.cache import ObjectKey, key_of
from berth_operator.engine.parallel import together
from berth_operator.engine.workqueue import Key
from berth_operator.kinds import INSTANCES, RULES, WATCHED
from berth_operator.networks import survey
from berth_operator.readability import judge
from berth_operator.wake import wake, wake_gone
from berth_operator.world import ACCESS, EXPIRY, HISTORY, LATE, RELIST, SLOTS, World

log = structlog.get_logger(__name__)

EVERY_SECONDS: Final = 600.0
SETTLE_SECONDS: Final = 2.0
LONGEST_PAUSE: Final = 5.0
_KINDS: Final = {kind.plural: kind for kind in WATCHED}


async def relist(world: World, kind: Kind) -> None:
    """List a kind in all namespaces, take that over into the cache, and wake what vanished."""
    namespaces = world.config.workspace_namespaces if kind.namespaced else (None,)
    for namespace in namespaces:
        listed, version = set[ObjectKey](), "0"
        async for page, as_of in world.client.pages(kind, namespace, labels=WATCHED[kind]):
            version = as_of
            for obj in page:
                world.store.put(kind, obj)
                listed.add(key_of(obj))
        for obj in world.store.retain(kind, namespace or "", listed, version):
            wake_gone(world, kind, obj)
        if kind == RULES and namespace is not None:
            world.rules_listed[namespace] = int(version)


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
    """List everything that is watched; rules last, so that news of a rule find the instance whose it is."""
    await together(*(relist(world, kind) for kind in WATCHED if kind != RULES))
    await relist(world, RULES)
    await survey(world)


def wake_all(world: World) -> None:
    """Ask for a pass over everything that is known, instances first: some have to end, or to be served."""
    world.store.all_heard()
    for kind in sorted(WATCHED, key=lambda kind: kind != INSTANCES):
        for obj in world.store.all(kind):
            judge(world, kind, obj)
            wake(world, kind, obj)
        for obj in world.store.unreadable(kind):
            judge(world, kind, obj)
    world.add(ACCESS, "", "")
    world.add(EXPIRY, "", "")
    world.add(HISTORY, "", "")
    world.add(SLOTS, "", "")
    world.add(LATE, "", "")
    world.queue.add_after(Key(RELIST, "", ""), EVERY_SECONDS)


def watch_begins(world: World, plural: str) -> None:
    """Take note that a watch of a kind begins, or goes on to tell what is there: a list follows."""
    if plural in _KINDS:
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
        await relist(world, _KINDS[key.name])
        return None
    await relist_all(world)
    world.memories.retain(_living(world))
    world.memories.outdate_pushes()
    wake_all(world)
    log.debug("relisted")
    return EVERY_SECONDS


def _living(world: World) -> set[tuple[str, str]]:
    """Instances that are known and have not ended, by namespace and public id."""
    known = (obj for obj in world.store.all(INSTANCES) if not (obj.get("status") or {}).get("endTime"))
    return {(o["metadata"]["namespace"], ids.instance_id(o["metadata"]["name"], o["metadata"]["uid"])) for o in known}
