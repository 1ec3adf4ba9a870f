"""Waiting for what no watch tells of."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

TICK = 0.05


async def until(holds: Callable[[], bool | Awaitable[bool]], what: str, seconds: float) -> None:
    """Look again and again until something holds; AssertionError where it does not in time."""
    deadline = time.monotonic() + seconds
    while True:
        found = holds()
        if await found if inspect.isawaitable(found) else found:
            return
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(TICK)
