"""Connections of clients: so many and no more, from when they are accepted, and none of them shuts others out."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from promised import promised

from berth_dev.cluster.pki import Authority

from . import process
from .ci import asked
from .conftest import TIMEOUT, Setting
from .process import Api
from .signing import Signer

pytestmark = pytest.mark.apiserver

MOST: Final = 5
"""Connections that the process may have."""
SPARE: Final = 3
"""Descriptors that it opens and closes meanwhile for purposes of its own."""
SOON: Final = 2.5
"""Seconds in which a connection ends that is ended for another one: less than any client may take for anything."""
SILENT: Final = {"http": min(promised(SOON), 9.0), "https": SOON}
"""The same for a silent one, which ends by itself: after 10 s, and after 3 s where it owes a TLS handshake."""
HEALTH: Final = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
SLOW: Final = b"POST /purge HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\nExpect: 100-continue\r\n\r\n"


class Few:
    """A process with few connections, over TLS or not, and those that a test has opened."""

    def __init__(self, api: Api, context: ssl.SSLContext | None) -> None:
        self.api, self._context = api, context
        self._address = urlsplit(api.url)
        self.soon = SILENT[self._address.scheme]
        self._opened: list[asyncio.StreamWriter] = []

    async def silent(self) -> asyncio.StreamReader:
        """Connect, and say nothing at all, of TLS neither."""
        reader, writer = await asyncio.open_connection(self._address.hostname, self._address.port)
        self._opened.append(writer)
        return reader

    async def sends(self, request: bytes) -> asyncio.StreamReader:
        """Connect, and send."""
        reader, writer = await asyncio.open_connection(self._address.hostname, self._address.port, ssl=self._context)
        self._opened.append(writer)
        writer.write(request)
        return reader

    async def head(self, request: bytes) -> bytes:
        """Connect, and send; the head of the answer."""
        return await self.head_of(await self.sends(request))

    async def head_of(self, reader: asyncio.StreamReader) -> bytes:
        """Read the head of an answer."""
        return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), TIMEOUT)

    def close(self) -> None:
        """End all connections."""
        for writer in self._opened:
            writer.transport.abort()


@pytest_asyncio.fixture(params=["http", "https"])
async def few(request: pytest.FixtureRequest, setting: Setting, tmp_path: Path) -> AsyncIterator[Few]:
    settings, trusted = {"BERTH_MOST_CONNECTIONS": str(MOST)}, None
    if request.param == "https":
        authority = Authority(tmp_path / "authority")
        pair, trusted = authority.server("tls", hosts=["127.0.0.1"]), authority.pair.certificate
        settings["BERTH_TLS_DIR"] = str(pair.certificate.parent)
    running = process.running(setting.environment(**settings), tmp_path / "few.log", authority=trusted)
    async with process.in_thread(running) as api:
        few = Few(api, ssl.create_default_context(cafile=trusted) if trusted else None)
        yield few
        few.close()


async def test_one_connection_too_many_ends_the_one_that_is_silent_for_longest(few: Few) -> None:
    silent = [await few.silent() for _ in range(MOST)]
    assert (await few.head(HEALTH)).startswith(b"HTTP/1.1 200 ")
    assert await asyncio.wait_for(silent[0].read(), few.soon) == b""


async def test_connections_that_are_ended_hold_no_descriptors(few: Few) -> None:
    """Ended by one too many each, long before they have taken too long."""
    before = descriptors(few.api)
    silent = [await few.silent() for _ in range(20 * MOST)]
    assert (await few.head(HEALTH)).startswith(b"HTTP/1.1 200 ")
    for reader in silent[:-MOST]:
        assert await asyncio.wait_for(reader.read(), few.soon) == b""
    assert descriptors(few.api) <= before + MOST + SPARE


async def test_slow_bodies_on_all_connections_keep_nobody_out(few: Few) -> None:
    slow = [await few.sends(SLOW) for _ in range(MOST)]
    for reader in slow:
        assert await few.head_of(reader) == b"HTTP/1.1 100 Continue\r\n\r\n"
    for ended in slow:
        assert (await few.head(HEALTH)).startswith(b"HTTP/1.1 200 ")
        with suppress(ConnectionError):
            assert await asyncio.wait_for(ended.read(), promised(SOON)) == b""


async def test_one_too_many_is_told_so_where_whole_requests_are_answered_on_all(
    few: Few, alice: httpx.AsyncClient, signer: Signer
) -> None:
    job = await asked(alice, "connections")
    follow = f"GET /ci/project/connections/job/{job}/log?follow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
    followers = [await few.sends(f"{follow}{signer.token('alice')}\r\n\r\n".encode()) for _ in range(MOST)]
    for reader in followers:
        assert (await few.head_of(reader)).startswith(b"HTTP/1.1 200 ")
    refused = await few.head(HEALTH)
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 1" in refused
    assert not any(reader.at_eof() for reader in followers)


def descriptors(api: Api) -> int:
    return len(os.listdir(f"/proc/{api.process.pid}/fd"))
