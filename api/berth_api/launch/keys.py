"""Pool of key pairs for users, made ahead."""

import asyncio
from typing import Final

from berth_api import metrics
from berth_core.keys.ssh import KeyPair, make_key_pair

POOL_SIZE: Final = 32


class KeyPool:
    """Key pairs made ahead by one worker thread, so that requests do not wait for one."""

    def __init__(self, size: int = POOL_SIZE) -> None:
        self._pairs: asyncio.Queue[KeyPair] = asyncio.Queue(size)

    async def run(self) -> None:
        """Keep the pool full until cancelled."""
        while True:
            await self._pairs.put(await asyncio.to_thread(make_key_pair))
            metrics.KEYS_AHEAD.set(self._pairs.qsize())

    async def take(self) -> KeyPair:
        """Return a pair for one caller only; waits for the next one when the pool is empty."""
        pair = await self._pairs.get()
        metrics.KEYS_AHEAD.set(self._pairs.qsize())
        return pair
