"""Counts in Redis or Valkey, for all replicas together."""

import asyncio
import math
from typing import Any, Final, cast
from urllib.parse import SplitResult, urlsplit

from limits.aio.storage import RedisStorage
from limits.aio.storage.redis.redispy import RedispyBridge
from limits.errors import ConfigurationError
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from berth_api.ratelimit.allowance import Limit, Reading, untouched
from berth_core.process.settings import SettingError

PREFIX: Final = "berth"
PORT: Final = 6379
SECONDS: Final = 0.25
"""How long a request waits for the server, where the URL has no ``socket_timeout``."""
TURNS: Final = 10
"""Turns of the event loop in which an answer is still taken that arrived while the process itself was busy."""
FAILURES: Final = (RedisError, OSError)
"""Errors of a server that is unreachable, slow or refuses; TimeoutError is an OSError."""
_SCHEMES: Final = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"}
_GIVE_BACK: Final = """
local ends, requests = redis.call('PEXPIRETIME', KEYS[1]), tonumber(redis.call('GET', KEYS[1]) or 0)
if math.ceil(ends / 1000) == tonumber(ARGV[1]) and requests > 0 then redis.call('DECR', KEYS[1]) end
"""
PROBE: Final = Limit("probe", "probe", 1, 1)
"""Limit that is counted to check that the server works."""


def store_url(text: str) -> str:
    """Return the URL as the client library wants it. Raises SettingError, without the text: it can hold a password."""
    advice = (
        "BERTH_RATE_LIMIT_REDIS_URL is no URL such as redis://:password@host:6379/0 (or rediss://, valkey://, "
        "valkeys://); write special characters of the password as %XX"
    )
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise SettingError(advice) from None
    if parts.scheme not in _SCHEMES or not host:
        raise SettingError(advice)
    return _with_port(parts, port or PORT)


def _with_port(parts: SplitResult, port: int) -> str:
    credentials, at, place = parts.netloc.rpartition("@")
    host = place.partition("]")[0] + "]" if place.startswith("[") else place.partition(":")[0]
    netloc = f"{credentials}{at}{host}:{port}"
    return parts._replace(scheme=_SCHEMES[parts.scheme], netloc=netloc, fragment="").geturl()


class SharedStore(RedisStorage):
    """Windows as counters that expire, on a server of version 7 or later (any Valkey).

    Each request is one transaction: the increment decides whether it passes and how many are left. The end of the
    window is the server's, so that every replica tells the same.
    """

    def __init__(self, url: str) -> None:
        """Prepare; nothing is connected yet. Raises SettingError."""
        address = store_url(url)
        try:
            super().__init__(address, implementation="redispy", key_prefix=PREFIX)
            self._redis: Redis = cast(RedispyBridge, self.bridge).storage
            # The library would retry for seconds. Making a connection also finds unknown options in the URL.
            self._redis.set_retry(Retry(NoBackoff(), 0))
            self._redis.connection_pool.make_connection()
            options = self._redis.connection_pool.connection_kwargs
            self._patience = float(options.get("socket_timeout") or SECONDS)
        except (ConfigurationError, TypeError, ValueError):
            raise SettingError(
                "BERTH_RATE_LIMIT_REDIS_URL has options that cannot be used: correct what follows `?`"
            ) from None

    async def take(self, limit: Limit) -> Reading:
        """Count one request. Raises one of FAILURES, after about SECONDS, or the URL's time limit, at the latest."""
        key = self.bridge.prefixed_key(limit.key)
        async with self._redis.pipeline(transaction=True) as transaction:
            transaction.incr(key)
            # NX: the first request of a window sets its end, and a key that somebody made persistent ends too.
            transaction.expire(key, limit.window, nx=True)
            transaction.pexpiretime(key)
            transaction.pttl(key)
            requests, _, ends, milliseconds = await _answer(transaction, self._patience)
        return Reading(requests, math.ceil(ends / 1000), milliseconds / 1000)

    async def look(self, limit: Limit, *, now: float) -> Reading:
        """Count nothing. ``now`` is in seconds since the Epoch. Raises as ``take``."""
        key = self.bridge.prefixed_key(limit.key)
        async with self._redis.pipeline(transaction=True) as transaction:
            transaction.get(key)
            transaction.pexpiretime(key)
            transaction.pttl(key)
            requests, ends, milliseconds = await _answer(transaction, self._patience)
        if requests is None or ends < 0:
            return untouched(limit, now)
        return Reading(int(requests), math.ceil(ends / 1000), milliseconds / 1000)

    async def give_back(self, limit: Limit, reset: int) -> None:
        """Take one request back of the window that ends then; nothing where it has ended. Raises as ``take``."""
        async with self._redis.pipeline(transaction=True) as transaction:
            transaction.eval(_GIVE_BACK, 1, self.bridge.prefixed_key(limit.key), reset)
            await _answer(transaction, self._patience)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


async def _answer(transaction: Pipeline, patience: float) -> list[Any]:
    task = asyncio.ensure_future(transaction.execute())
    try:
        await asyncio.wait({task}, timeout=patience)
        for _ in range(TURNS):
            if task.done():
                break
            await asyncio.sleep(0)
    finally:
        # Does nothing to a done task; else it closes the connection, so that no late answer is taken for another.
        task.cancel()
    await asyncio.wait({task})
    if task.cancelled():
        raise TimeoutError(f"no answer within {patience} s")
    return task.result()
