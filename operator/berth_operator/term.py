"""One term of a leader: list everything, then work until another leads."""

import asyncio
import time
from collections.abc import Callable

from berth_operator import allowances, archiving, enforcement, late, quota, relist, tenancy
from berth_operator.leading import Leadership
from berth_operator.world import World


async def lead(world: World, leadership: Leadership, listed: Callable[[], None]) -> None:
    """Reconcile until cancelled; ``listed`` is called once everything was listed, before the first pass."""
    began, world.term = time.monotonic(), leadership.term
    try:
        await tenancy.settle(world)
        await relist.first_lists(world)
        listed()
        world.queue.open()
        relist.wake_all(world)
        relist.catch_up(world, began)
        late.watch_for(world)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(world.queue.run())
            tasks.create_task(enforcement.run(world))
            tasks.create_task(quota.run(world))
            tasks.create_task(allowances.run(world))
            tasks.create_task(archiving.run(world))
    finally:
        world.problem = ""
        world.memories.clear()
        world.rules_listed.clear()
        world.slots_seen.clear()
        world.missing.since.clear()
        world.refusals.since.clear()
        world.warm_nonces.clear()
        world.not_kept.clear()
