"""A balancer of connections, as one stands before several API servers."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

PIECE = 1 << 16


@dataclass
class Balancer:
    """Passes each connection on to the next server that takes it; both sides of it end together."""

    ports: Sequence[int]
    _turn: "itertools.count[int]" = field(default_factory=itertools.count)
    _open: "set[asyncio.Task[None] | None]" = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on until either side ends it."""
        self._open.add(asyncio.current_task())
        try:
            await self._pass_on(reader, writer)
        finally:
            self._open.discard(asyncio.current_task())

    async def ended(self) -> None:
        """Wait until no connection is left."""
        await asyncio.gather(*(task for task in self._open if task is not None), return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, there = await self._opened()
        except OSError:
            writer.transport.abort()
            return
        both = [asyncio.ensure_future(_copied(reader, there)), asyncio.ensure_future(_copied(back, writer))]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in (there, writer):
                one.transport.abort()
            await asyncio.gather(*both, return_exceptions=True)

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        first, refused = next(self._turn), OSError("there is no server")
        for number in range(len(self.ports)):
            try:
                return await asyncio.open_connection("127.0.0.1", self.ports[(first + number) % len(self.ports)])
            except OSError as error:
                refused = error  # it is lost: the next may live
        raise refused


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(PIECE):
        writer.write(piece)
        await writer.drain()
