"""Several writes at once, none of which outlives the pass that began them."""

import asyncio
from collections.abc import Awaitable
from typing import Any


async def together(*writes: Awaitable[Any]) -> list[Any]:
    """Await all; their results in order. When some fail, the first failure is raised after all have ended.

    (``asyncio.gather`` alone would raise at once and leave the others running behind the back of the work queue.)
    """
    results = await asyncio.gather(*writes, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
