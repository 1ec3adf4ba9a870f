"""A machine at an address of its own, which listens or not. The operator refuses loopback."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from berth_dev.ports import claimed, free_port

NETWORK = "198.18.128.0/17"
"""Of the range for benchmarks: no route leads there but to the addresses that tests add."""


@dataclass
class Robot:
    """A controller that answers HTTP, and the moments (monotonic clock) at which somebody connected."""

    host: str
    port: int
    status: int = 200
    mute: bool = False
    """It accepts connections and says nothing."""
    closed: list[float] = field(default_factory=list)
    """Moments at which the other side ended connections of a mute one."""
    connected: list[float] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def hears(self, times: int, seconds: float) -> None:
        """Wait until somebody has connected so often; TimeoutError after so many seconds."""
        await self.until(lambda: len(self.connected) >= times, seconds)

    async def until(self, holds: Callable[[], bool], seconds: float) -> None:
        """Wait until something holds of its connections; TimeoutError after so many seconds."""
        async with asyncio.timeout(seconds):
            while not holds():
                self._news.clear()
                await self._news.wait()

    async def switch_on(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port)

    async def switch_off(self) -> float:
        """Stop listening; when that was."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
        return time.monotonic()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected.append(time.monotonic())
        self._news.set()
        if self.mute:
            await reader.read()
            self.closed.append(time.monotonic())
            self._news.set()
        elif await reader.readline():
            writer.write(f"HTTP/1.1 {self.status} Status\r\n\r\n".encode())
        writer.close()


@asynccontextmanager
async def robot() -> AsyncIterator[Robot]:
    """A machine that is switched on."""
    with claimed("robot", 32_000) as number:
        host = str(IPv4Network(NETWORK)[1 + number])
        await _address("add", host)
        made = Robot(host, free_port())
        try:
            await made.switch_on()
            yield made
        finally:
            await made.switch_off()
            await _address("del", host)


async def _address(word: str, host: str) -> None:
    process = await asyncio.create_subprocess_exec("ip", "addr", word, f"{host}/32", "dev", "lo")
    assert await process.wait() == 0
