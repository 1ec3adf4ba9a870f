"""Carries streams from the workspace to a machine behind a connector: ``python3 -m berth_agent.machine``.

A process apart from the one that takes pushes, so that no stream can hold up a push; the agent starts it again when it
ends. It listens at 127.77.0.1, which only the pod itself reaches, and opens a stream through the hub for each
connection. The fence of the epoch is the connector's, by the word that this process shows.
"""

import asyncio
import json
import os
import ssl
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from berth_agent import log
from berth_agent.carrier import FILE
from berth_agent.paths import Paths

ADDRESS: Final = "127.77.0.1"
HUB_NAME: Final = "hub.berth.internal"
MOST_CONNECTIONS: Final = 64
PATIENCE: Final = 10.0
"""Seconds in which a stream is asked for again while the hub or the connector is not ready."""
AGAIN: Final = 0.2
LINGER: Final = 5.0
"""Seconds in which the machine may still answer after the workspace's program sends no more."""
_CHUNK: Final = 64 * 1024


class RefusedError(Exception):
    """A stream is refused; ``passing`` where it may be had a moment later."""

    def __init__(self, reason: str, *, passing: bool) -> None:
        super().__init__(reason)
        self.passing = passing


def main() -> int:
    """Serve until killed; 1 with one line where that cannot be."""
    paths = Paths.from_environment()
    try:
        with open(os.path.join(paths.secret, FILE), "rb") as file:
            way = json.loads(file.read())
        asyncio.run(Carrier(way).run())
    except (OSError, ValueError, KeyError) as error:
        log.event("no stream to the machine can be carried", "error", message=str(error))
        return 1
    return 0


class Carrier:
    """Listens on the machine's ports."""

    def __init__(self, way: Mapping[str, Any]) -> None:
        self._hub = str(way["hub"][0]), int(way["hub"][1])
        self._word = str(way["word"])
        self._ports = {int(port): str(target) for port, target in way["ports"].items()}
        self._tls = ssl.create_default_context(cadata=str(way["authority"]))
        self._open = 0

    async def run(self) -> None:
        """Serve for ever. Raises OSError where a port is taken."""
        servers = [
            await asyncio.start_server(self._serving(target), ADDRESS, port, limit=_CHUNK)
            for port, target in self._ports.items()
        ]
        log.event("machine's ports are open", address=ADDRESS, ports=sorted(self._ports))
        await asyncio.gather(*(server.serve_forever() for server in servers))

    def _serving(self, target: str) -> Any:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self._open >= MOST_CONNECTIONS:
                writer.transport.abort()
                return
            self._open += 1
            try:
                await self._carry(target, reader, writer)
            except (
                OSError,
                RefusedError,
                asyncio.IncompleteReadError,
                asyncio.LimitOverrunError,
                ssl.SSLError,
            ) as error:
                log.limited("stream ended", "warning", target=target, reason=str(error) or type(error).__name__)
            finally:
                self._open -= 1
                writer.transport.abort()

        return serve

    async def _carry(self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_machine, to_machine = await self._stream(target)
        there = asyncio.ensure_future(_pump(reader, to_machine))
        back = asyncio.ensure_future(_pump(from_machine, writer))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
            if not back.done():
                await asyncio.wait({back}, timeout=LINGER)
            with suppress(OSError):
                to_machine.close()
        finally:
            for task in (there, back):
                task.cancel()
            await asyncio.gather(there, back, return_exceptions=True)

    async def _stream(self, target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a stream, again while it is refused for a passing reason. Raises OSError, RefusedError."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return await self._attempt(target)
            except (OSError, RefusedError, asyncio.IncompleteReadError) as error:
                if time.monotonic() > until or (isinstance(error, RefusedError) and not error.passing):
                    raise
            await asyncio.sleep(AGAIN)

    async def _attempt(self, target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(
            *self._hub, ssl=self._tls, server_hostname=HUB_NAME, limit=_CHUNK
        )
        writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {HUB_NAME}\r\nBerth-Word: {self._word}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status = head.split(" ", 2)[1] if head.startswith("HTTP/1.1 ") else ""
        if status == "200":
            return reader, writer
        body = await reader.read(_CHUNK)
        writer.close()
        raise RefusedError(f"{status} {body.decode(errors='replace')[:500]}", passing=status in ("502", "503"))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()


if __name__ == "__main__":
    sys.exit(main())
