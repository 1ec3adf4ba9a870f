"""One term of a leader: list everything, then work until another leads."""

import asyncio
import time
from collections.abc import Callable

from berth_operator.engine import resync
from berth_operator.engine.controllers import Controllers
from berth_operator.engine.world import World
from berth_operator.leadership import tenancy
from berth_operator.leadership.leading import Leadership


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
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(world.queue.run())
            for run in (run for one in world.state(Controllers).all for run in one.background):
                tasks.create_task(run(world))
    finally:
        world.end_term()
