"""One term of a leader: list everything, then work until another leads."""

import asyncio
import time
from collections.abc import Callable

from berth_operator.enforcement import probe
from berth_operator.engine import resync
from berth_operator.leadership import tenancy
from berth_operator.leadership.leading import Leadership
from berth_operator.quotas import namespaces, users
from berth_operator.sweeps import archive, stale_writes
from berth_operator.world import World


async def lead(world: World, leadership: Leadership, listed: Callable[[], None]) -> None:
    """Reconcile until cancelled; ``listed`` is called once everything was listed, before the first pass."""
    began, world.term = time.monotonic(), leadership.term
    try:
        await tenancy.settle(world)
        await resync.first_lists(world)
        listed()
        world.queue.open()
        resync.wake_all(world)
        resync.catch_up(world, began)
        stale_writes.watch_for(world)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(world.queue.run())
            tasks.create_task(probe.run(world))
            tasks.create_task(namespaces.run(world))
            tasks.create_task(users.run(world))
            tasks.create_task(archive.run(world))
    finally:
        world.problem = ""
        world.memories.clear()
        world.rules_listed.clear()
        world.slots_seen.clear()
        world.missing.since.clear()
        world.refusals.since.clear()
        world.warm_nonces.clear()
        world.not_kept.clear()
