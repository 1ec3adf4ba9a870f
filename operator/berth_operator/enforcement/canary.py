"""Runs in the pods berth-canary (ADR 0052): ``python3 -m berth_operator.enforcement.canary CONTROL CANARY``.

Each connection gets one line, on either port, and is closed. Nothing is read. NetworkPolicies of pods without an agent
let them to the first port and not to the second. Standard library only.
"""

import asyncio
import sys
from contextlib import suppress
from typing import Final

LINE: Final = b"berth\n"


async def _answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(LINE)
    with suppress(ConnectionError):  # the client has gone: nothing is lost
        await writer.drain()
    writer.close()


async def listen(port: int, address: str | None = None) -> asyncio.Server:
    """Answer on a port; without an address on all there are, of both IP versions."""
    return await asyncio.start_server(_answer, address, port)


async def _main(ports: list[int]) -> None:
    servers = [await listen(port) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(_main([int(word) for word in sys.argv[1:]]))
