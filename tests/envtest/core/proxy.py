"""A TCP proxy in front of the API server: the network between a client and it, which can be cut, or fall silent."""

import asyncio
import contextlib
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

import yaml

CHUNK = 65536


class Proxy:
    """Forwards connections to a URL's host and port while it is not cut."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 443)
        self._writers: set[asyncio.StreamWriter] = set()
        self._is_cut = False
        self.refused = 0
        """Connections that came while it was cut."""
        self.told = 0
        """Bytes that the target sent."""
        self.lag = 0.0
        """Seconds by which all that the target says comes later."""
        self._server: asyncio.Server | None = None
        self._passing = _open_gate()
        self._gates = [self._passing]

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.cut()
        self.speak()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def kubeconfig(self, original: Path, path: Path) -> Path:
        """Write a kubeconfig that goes through here."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        config = yaml.safe_load(original.read_text())
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
        path.write_text(yaml.safe_dump(config))
        return path

    def cut(self) -> None:
        """Break all connections and let no new one through."""
        self._is_cut = True
        for writer in self._writers:
            writer.close()

    def mend(self) -> None:
        """Let connections through again."""
        self._is_cut = False

    def hush(self) -> None:
        """Hold up what is sent on any connection, and break none."""
        self._passing.clear()

    def deafen(self) -> None:
        """Hold up what is sent on the connections that are there; new ones are as usual."""
        self._passing.clear()
        self._passing = _open_gate()
        self._gates.append(self._passing)

    def speak(self) -> None:
        """Pass on what was held up, and what comes."""
        for gate in self._gates:
            gate.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            self.refused += 1
            writer.close()
            return
        there, back = await asyncio.open_connection(*self._target)
        self._writers |= {writer, back}
        passing = self._passing
        await asyncio.gather(self._copy(reader, back, passing), self._copy(there, writer, passing, late=True))
        self._writers -= {writer, back}

    async def _copy(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, passing: asyncio.Event, *, late: bool = False
    ) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        with contextlib.suppress(ConnectionError):
            while data := await source.read(CHUNK):
                self.told += len(data) if late else 0
                await passing.wait()
                due = max(due, loop.time() + self.lag) if late else loop.time()
                if due > loop.time():
                    loop.call_at(due, sink.write, data)
                else:
                    sink.write(data)
                    await sink.drain()
        sink.close()


def _open_gate() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate
