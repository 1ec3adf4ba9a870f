"""Where requests are counted: in the shared store while it answers, else in memory.

One event loop uses a Limiter. When the store fails, requests are counted in memory at once, and one task asks the
store from time to time until it answers; no request waits for it meanwhile.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeVar

import structlog
from prometheus_client import Counter, Gauge

from berth_api.auth.identity import Identity
from berth_api.config import RateLimit
from berth_api.http.client_address import Address
from berth_api.ratelimit.allowance import Allowance, Limit, Reading, judge, limit_of, limit_of_keys, untouched
from berth_api.ratelimit.memory import MemoryStore
from berth_api.ratelimit.shared import FAILURES, PROBE, SharedStore

log = structlog.get_logger(__name__)

FIRST_PROBE_SECONDS: Final = 0.5
SLOWEST_PROBE_SECONDS: Final = 5.0
T = TypeVar("T")
AT_ONCE: Final = 4
"""Connections of a replica to the shared store."""

REFUSED: Final = Counter("berth_api_rate_limit_refusals", "Requests refused by a rate limit, by kind of key.", ("by",))
OUTAGES: Final = Counter("berth_api_rate_limit_store_outages", "Times that Redis stopped answering.")
STORE_AWAY: Final = Gauge(
    "berth_api_rate_limit_store_away", "1 while requests are counted in memory because Redis does not answer."
)
MEMORY_WINDOWS: Final = Gauge("berth_api_rate_limit_memory_windows", "Windows counted in memory.")


class Limiter:
    """Counts requests of one window after another."""

    def __init__(self, settings: RateLimit) -> None:
        """Prepare, and connect to the shared store in the background. Raises SettingError."""
        self.refusal_status = settings.refusal_status
        self._settings = settings
        self._memory: defaultdict[int, MemoryStore] = defaultdict(MemoryStore)
        """By length of the windows, of which there are two kinds."""
        self._shared = SharedStore(settings.redis_url) if settings.redis_url is not None else None
        self._free = asyncio.Semaphore(AT_ONCE)
        self._outage: asyncio.Task[None] | None = None
        # The first request then finds a connection, and the log tells at once of a wrong URL.
        self._greeting = asyncio.ensure_future(self._ask(lambda shared: shared.take(PROBE)))

    async def take(self, identity: Identity | None, peer: Address | None) -> Allowance:
        """Count a request against the token, or else against the address."""
        limit = limit_of(self._settings, identity, peer)
        if self._is_exempt(identity):
            return judge(limit, untouched(limit, time.time()))
        allowance = judge(limit, await self._take(limit))
        if not allowance.passes:
            REFUSED.labels(limit.kind).inc()
        return allowance

    async def look(self, identity: Identity | None, peer: Address | None) -> Allowance:
        """Return the remaining allowance, and count nothing; this never refuses."""
        limit = limit_of(self._settings, identity, peer)
        reading = untouched(limit, time.time()) if self._is_exempt(identity) else await self._look(limit)
        return replace(judge(limit, reading), passes=True)

    async def take_key(self, identity: Identity) -> Allowance:
        """Count a new record of a user's requests with a key."""
        limit = limit_of_keys(self._settings, identity)
        return judge(limit, untouched(limit, time.time()) if self._is_exempt(identity) else await self._take(limit))

    async def give_key_back(self, identity: Identity, allowance: Allowance) -> None:
        """Count one record less in the window of ``allowance``."""
        limit = limit_of_keys(self._settings, identity)
        await self._ask(lambda shared: shared.give_back(limit, allowance.reset))
        self._memory[limit.window].give_back(limit, allowance.reset)

    async def close(self) -> None:
        """Close the connections to the store."""
        for task in (self._greeting, self._outage):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        if self._shared is not None:
            await self._shared.close()

    def _is_exempt(self, identity: Identity | None) -> bool:
        return self._settings.superusers_exempt and identity is not None and identity.superuser

    async def _take(self, limit: Limit) -> Reading:
        reading = await self._ask(lambda shared: shared.take(limit))
        if reading is None:
            memory = self._memory[limit.window]
            reading = memory.take(limit, monotonic=time.monotonic(), now=time.time())
            MEMORY_WINDOWS.set(sum(map(len, self._memory.values())))
        return reading

    async def _look(self, limit: Limit) -> Reading:
        reading = await self._ask(lambda shared: shared.look(limit, now=time.time()))
        return reading or self._memory[limit.window].look(limit, monotonic=time.monotonic(), now=time.time())

    async def _ask(self, question: Callable[[SharedStore], Awaitable[T]]) -> T | None:
        """Ask the shared store; None where there is none, or where it does not answer."""
        if self._shared is None or self._is_away():
            return None
        async with self._free:
            if self._is_away():  # it was lost while this request waited for its turn
                return None
            try:
                return await question(self._shared)
            except FAILURES as error:
                self._begin_outage(self._shared, error)
                return None

    def _is_away(self) -> bool:
        return self._outage is not None and not self._outage.done()

    def _begin_outage(self, shared: SharedStore, error: Exception) -> None:
        if self._is_away():
            return  # another concurrent request has logged it
        OUTAGES.inc()
        STORE_AWAY.set(1)
        log.error(
            "rate limit store does not answer; each replica counts in memory until it does",
            error=type(error).__name__,
            reason=str(error),
        )
        self._outage = asyncio.create_task(_until_back(shared), name="rate limit store")
        self._outage.add_done_callback(_end_outage)


async def _until_back(shared: SharedStore) -> None:
    pause = FIRST_PROBE_SECONDS
    while True:
        await asyncio.sleep(pause)
        try:
            await shared.take(PROBE)
        except FAILURES:
            pause = min(pause * 2, SLOWEST_PROBE_SECONDS)
        else:
            return


def _end_outage(task: asyncio.Task[None]) -> None:
    # However the task ended, requests ask the store again from here on.
    STORE_AWAY.set(0)
    if task.cancelled():
        return
    failure = task.exception()
    if failure is None:
        log.info("rate limit store answers again")
    else:
        log.error("probe of the rate limit store failed", error=repr(failure))
