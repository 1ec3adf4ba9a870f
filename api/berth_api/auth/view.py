"""A cache that knows its age, for decisions that must not rest on an old view.

An idle watch is silent, and so is one whose API server hangs or whose connection is dead. So the API server is asked
twice a second how many objects there are. :mod:`berth_api.auth.freshness` derives the view's age from the answers.
Where the cache has fewer objects than that, the watch is deaf, and everything is listed again. TCP itself finds dead
connections, too (``berth_core.kube.streams.KEEP_ALIVE``).
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from berth_api.auth.freshness import Freshness
from berth_core.kube import errors as cluster
from berth_core.kube.cache import Cache, Indexer
from berth_core.kube.client import Client
from berth_core.kube.reflector import Reflector
from berth_core.kube.types import Kind, Object

log = structlog.get_logger(__name__)

PROBE_EVERY: Final = 0.5
PROBE_SECONDS: Final = 5.0
"""How long an answer may take. Further probes are sent meanwhile."""
LONGEST_DELAY: Final = 1.0
"""Seconds between attempts at a watch, so that tokens count soon after an outage."""
LISTING_SECONDS: Final = 10.0
"""How long listing again may take before the watch may count as deaf once more."""


class _DeafError(Exception):
    """The watch missed objects."""


class View:
    """All objects of one kind in one namespace, by index, with the age of the view."""

    def __init__(self, client: Client, kind: Kind, namespace: str, indexes: Mapping[str, Indexer[Object]]) -> None:
        self.cache = Cache[Object](lambda obj: obj, indexes)
        self._reflector = Reflector(client, kind, [namespace], self.cache, longest_delay=LONGEST_DELAY)
        self._client = client
        self._kind = kind
        self._namespace = namespace
        self._freshness = Freshness()
        self._counted = 0
        self._changed = asyncio.Event()
        self.cache.listen(lambda *_: self._tell())

    @property
    def is_synced(self) -> bool:
        """Whether everything has been listed once, so that its age is known."""
        return self._freshness.age(time.monotonic()) < float("inf")

    def age(self, monotonic_now: float) -> float:
        """Seconds for which the view may have missed something; infinite before it was there."""
        return max(self._freshness.age(monotonic_now), self._reflector.broken_for(monotonic_now))

    async def until(self, holds: Callable[[], bool], seconds: float) -> None:
        """Wait until a condition holds, checking it after each change. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not holds():
                await self._changed.wait()

    async def run(self) -> None:
        """Keep the view current until cancelled."""
        trusted_until = float("-inf")
        while True:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._reflector.run())
                    tasks.create_task(self._probe_until_deaf(trusted_until))
            except* _DeafError:
                log.error("a watch missed objects: listing again", kind=self._kind.plural, namespace=self._namespace)
            trusted_until = time.monotonic() + LISTING_SECONDS

    async def _probe_until_deaf(self, trusted_until: float) -> None:
        if not self._reflector.is_synced:
            await self._reflector.synced()
            self._freshness.listed(time.monotonic())
        async with asyncio.TaskGroup() as probes:
            while True:
                probes.create_task(self._probe(trusted_until))
                await asyncio.sleep(PROBE_EVERY)

    async def _probe(self, trusted_until: float) -> None:
        asked_at, before = time.monotonic(), self._counted
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                count = await self._client.count(self._kind, self._namespace)
        except (cluster.ClusterError, TimeoutError) as error:
            log.warning("probe failed", kind=self._kind.plural, error=str(error) or type(error).__name__)
            return
        # The least of both: objects of the last count should have arrived, and objects deleted since are no miss.
        missing = len(self.cache) < min(before, count)
        self._counted = count
        self._freshness.answered(asked_at, time.monotonic(), missing=missing)
        if missing and asked_at > trusted_until:
            raise _DeafError

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
