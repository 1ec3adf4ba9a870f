"""Runs a process's tasks until somebody tells it to stop."""

import asyncio
import signal


async def until_told(*tasks: asyncio.Task[None]) -> None:
    """Wait for SIGTERM or SIGINT, then stop the tasks; what one of them fails with is raised."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    signal_task = asyncio.create_task(stop.wait())
    ended, _ = await asyncio.wait([signal_task, *tasks], return_when=asyncio.FIRST_COMPLETED)
    signal_task.cancel()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if task in ended and (error := task.exception()) is not None:
            raise error
