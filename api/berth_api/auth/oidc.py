"""Verification keys of an OIDC provider, fetched in the background.

Requests never wait for the provider: they use the keys of the last fetch that worked, also while it is away. The keys
count for tokens of the provider's own issuer only (``auth/tokens.py``).
"""

import asyncio
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import aiohttp
import structlog

from berth_api.auth.jwks import Keys, parse_published
from berth_api.config import Provider

log = structlog.get_logger(__name__)

LARGEST_SET: Final = 64 * 1024
"""Bytes of a JWK set."""
FETCH_SECONDS: Final = 10.0


class FetchError(Exception):
    """The provider's answer is no set of keys."""


@dataclass(frozen=True)
class Pauses:
    """Seconds between fetches."""

    regular: float = 600.0
    after_unknown_kid: float = 30.0
    """Least seconds between fetches, however many tokens with unknown kids come."""
    first_retry: float = 1.0
    longest_retry: float = 30.0


class ProviderKeys:
    """The provider's keys by kid, as of the last fetch that worked."""

    def __init__(self, provider: Provider, pauses: Pauses | None = None) -> None:
        self.provider = provider
        self.current: Keys = {}
        """The same object for as long as the keys are the same; empty until they were fetched once."""
        self._pauses = pauses or Pauses()
        self._is_fetching = True
        self._fetched_at = float("-inf")
        self._demand = asyncio.Event()

    def are_coming(self, monotonic_now: float) -> bool:
        """Whether a fetch may bring a missing key. Asks for a fetch, unless the last was a moment ago."""
        if not self.current or self._is_fetching:
            return True
        if monotonic_now - self._fetched_at >= self._pauses.after_unknown_kid:
            self._demand.set()
        return self._demand.is_set()

    async def run(self) -> None:
        """Fetch now, regularly, and when a key is missed, until cancelled."""
        timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
        retry = self._pauses.first_retry
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
            while True:
                if await self._fetch(session):
                    pause, retry = self._pauses.regular, self._pauses.first_retry
                else:
                    pause, retry = retry, min(2 * retry, self._pauses.longest_retry)
                with suppress(TimeoutError):  # nobody missed a key: the regular fetch
                    async with asyncio.timeout(pause):
                        await self._demand.wait()

    async def _fetch(self, session: aiohttp.ClientSession) -> bool:
        self._is_fetching = True
        try:
            keys = parse_published(await self._read(session))
            if not keys:
                raise FetchError("there is no key for RS256 signatures in the set")
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, FetchError) as error:
            log.error(
                "keys of the provider cannot be fetched, the keys before stay: check its URL and CA",
                url=self.provider.jwks_url,
                error=repr(error),
            )
            return False
        finally:
            self._is_fetching = False
            self._fetched_at = time.monotonic()
            self._demand.clear()
        if keys != self.current:
            self.current = keys
            log.info("keys of the provider fetched", kids=sorted(keys))
        return True

    async def _read(self, session: aiohttp.ClientSession) -> bytes:
        url = self.provider.jwks_url
        # Read each time: a CA file can be replaced while the process runs.
        tls = await asyncio.to_thread(ssl.create_default_context, cafile=self.provider.ca_file)
        async with session.get(url, ssl=tls, allow_redirects=False) as answer:
            if answer.status != 200:
                raise FetchError(f"HTTP status {answer.status}; redirects are not followed")
            data = bytearray()
            async for chunk in answer.content.iter_chunked(16 * 1024):
                data += chunk
                if len(data) > LARGEST_SET:
                    raise FetchError(f"the set is larger than {LARGEST_SET} bytes")
            return bytes(data)
