"""Runs in the probe's pod (ADR 0015): ``python3 -m berth_operator.enforcement.server PORT…``.

A client of one of the ports is told in one line whether the pod itself can connect to the API server, which its
NetworkPolicy forbids: ``open`` or ``shut``. Nothing is read from a connection. Standard library only.
"""

import asyncio
import os
import sys
from contextlib import suppress
from typing import Final

OUTWARD_SECONDS: Final = 0.7


async def gets_out(host: str, port: int) -> bool:
    """Whether a TCP connection comes about within OUTWARD_SECONDS."""
    try:
        async with asyncio.timeout(OUTWARD_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


async def _answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])
    writer.write(b"open\n" if await gets_out(host, port) else b"shut\n")
    with suppress(ConnectionError):  # who asked has gone: nothing is lost
        await writer.drain()
    writer.close()


async def main(ports: list[int], address: str | None = None) -> None:
    """Answer on these ports until killed; without an address on all there are, of both IP versions."""
    servers = [await asyncio.start_server(_answer, address, port) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main([int(word) for word in sys.argv[1:]]))
