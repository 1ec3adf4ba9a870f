"""Compare-and-swap, again while others write in between."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from berth_core.kube.errors import ConflictError, ContendedError

ATTEMPTS: Final = 8
"""Lost compare-and-swaps after which a writer gives up."""
BACK_OFF_SECONDS: Final = 0.002

T = TypeVar("T")


async def swap(attempt: Callable[[], Awaitable[T]], of: str) -> T:
    """Return the result of an attempt, which reads live and writes at the resourceVersion that it has read.

    Raises ContendedError, which names the object ``of``, where every attempt came too late.
    """
    for number in range(ATTEMPTS):
        if number:
            # Longer each time, so that writers do not keep colliding.
            await asyncio.sleep(random.uniform(0.0, BACK_OFF_SECONDS * 2**number))  # noqa: S311 (jitter)
        try:
            return await attempt()
        except ConflictError:
            continue
    raise ContendedError(f"others kept writing {of}: try again")
