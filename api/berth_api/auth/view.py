"""A cache that knows how old it may be, for decisions that must not rest on an old view.

A watch that stands says nothing while nothing happens, and neither does one whose API server is silent, or whose
connection leads nowhere. So the API server is asked each second how many objects there are. An answer says that it
is reachable; a number that the cache does not come up to says that the watch is deaf, and everything is listed
again. A dead connection is also found by TCP itself (``berth_core.client.KEEP_ALIVE``).
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog

from berth_core import errors as cluster
from berth_core.cache import Cache, Indexer
from berth_core.client import Client, Kind

log = structlog.get_logger(__name__)

PROBE_EVERY: Final = 1.0
PROBE_SECONDS: Final = 2.0
"""How long an answer may take."""
LISTING_SECONDS: Final = 10.0
"""How long listing again may take before the view is thought deaf once more."""


class View:
    """All objects of one kind in one namespace, by index, with the age of what is known."""

    def __init__(self, client: Client, kind: Kind, namespace: str, indexers: Mapping[str, Indexer]) -> None:
        self.cache = Cache(client, kind, [namespace], indexers=indexers)
        self._client = client
        self._kind = kind
        self._namespace = namespace
        self._known_at = self._asked_before = float("-inf")
        self._changed = asyncio.Event()
        self.cache.listen(lambda _key, _obj: self._tell())

    @property
    def is_synced(self) -> bool:
        """Whether everything has been listed once."""
        return self._known_at > float("-inf")

    def age(self, monotonic_now: float) -> float:
        """Seconds for which the view may have missed something; infinite before it was there."""
        return max(monotonic_now - self._known_at, self.cache.broken_for(monotonic_now))

    async def until(self, holds: Callable[[], bool], seconds: float) -> None:
        """Wait until something holds, looking after each change. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not holds():
                await self._changed.wait()

    async def run(self) -> None:
        """Keep the view current until cancelled."""
        trusted_until = float("-inf")
        while True:
            async with _running(self.cache.run()) as following:
                await self._probe_until_deaf(following, trusted_until)
            trusted_until = time.monotonic() + LISTING_SECONDS
            log.error("a watch missed objects: listing again", kind=self._kind.plural, namespace=self._namespace)

    async def _probe_until_deaf(self, following: asyncio.Task[None], trusted_until: float) -> None:
        await self._listed(following)
        before = 0
        while not following.done():
            asked_at = time.monotonic()
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    count = await self._client.count(self._kind, self._namespace)
            except (cluster.ClusterError, TimeoutError) as error:
                log.warning("probe failed", kind=self._kind.plural, error=str(error) or type(error).__name__)
            else:
                # Both: what was there a second ago should have arrived, and what was deleted since is no miss.
                if len(self.cache) < min(before, count) and asked_at > trusted_until:
                    return
                before = count
                # What happened before the last probe but one has had a second to arrive. So after a silence the
                # first answer alone makes the view no younger.
                self._known_at, self._asked_before = self._asked_before, asked_at
            await asyncio.wait({following}, timeout=max(0.0, asked_at + PROBE_EVERY - time.monotonic()))
        following.result()

    async def _listed(self, following: asyncio.Task[None]) -> None:
        async with _running(self.cache.synced()) as synced:
            await asyncio.wait({synced, following}, return_when=asyncio.FIRST_COMPLETED)
        if self.cache.is_synced and not self.is_synced:
            self._known_at = self._asked_before = time.monotonic()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


@asynccontextmanager
async def _running(job: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(job)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
