"""Waits for sockets and for times, on asyncio's loop. Moments are of the monotonic clock, which is the loop's too."""

import asyncio
import time
from collections.abc import Callable
from socket import socket
from typing import Any


async def readable(sock: socket, until: float | None = None) -> None:
    """Wait until the socket can be read; TimeoutError after ``until``."""
    loop = asyncio.get_running_loop()
    await _ready(loop.add_reader, loop.remove_reader, sock, until)


async def writable(sock: socket, until: float | None = None) -> None:
    """Wait until the socket can be written; TimeoutError after ``until``."""
    loop = asyncio.get_running_loop()
    await _ready(loop.add_writer, loop.remove_writer, sock, until)


async def pause(until: float) -> None:
    """Wait until that moment."""
    await asyncio.sleep(until - time.monotonic())


async def _ready(
    add: Callable[..., Any], remove: Callable[[socket], object], sock: socket, until: float | None
) -> None:
    ready = asyncio.Event()
    add(sock, ready.set)
    try:
        async with asyncio.timeout_at(until):
            await ready.wait()
    finally:
        remove(sock)
