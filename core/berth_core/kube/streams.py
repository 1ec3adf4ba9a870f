"""Streamed answers: lines of a watch, and keep-alive of their connections."""

import socket
from collections.abc import AsyncIterator
from typing import Final

import aiohttp

SILENT_SECONDS: Final = 90
"""The API server sends a bookmark about once a minute: a watch that is silent for longer is broken."""
KEEP_ALIVE: Final = {
    "SO_KEEPALIVE": (socket.SOL_SOCKET, 1),
    "TCP_KEEPIDLE": (socket.IPPROTO_TCP, 2),
    "TCP_KEEPINTVL": (socket.IPPROTO_TCP, 1),
    "TCP_KEEPCNT": (socket.IPPROTO_TCP, 3),
}
"""Options of a watch's socket: a peer that vanished silently is noticed after 5 s."""


def keep_alive(response: aiohttp.ClientResponse) -> None:
    """Have the kernel probe a silent peer."""
    # A short answer may have ended its connection already: then there is nothing to keep.
    transport = response.connection.transport if response.connection is not None else None
    if transport is not None:
        for name, (level, value) in KEEP_ALIVE.items():
            if (option := getattr(socket, name, None)) is not None:  # not every system has all
                transport.get_extra_info("socket").setsockopt(level, option, value)


async def lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Cut a stream into its lines."""
    # readline() has a limit that large objects exceed, so lines are cut here.
    pending = b""
    async for chunk in content.iter_any():
        *whole, pending = (pending + chunk).split(b"\n")
        for line in whole:
            yield line
