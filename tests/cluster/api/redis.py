"""A real Redis server of the tests' own: on loopback, in memory, gone with the test."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as NotThereError

from .process import free_port

START_SECONDS = 20


@dataclass
class RedisServer:
    """A server, or the place of one that was stopped."""

    port: int
    password: str
    folder: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def url(self, scheme: str = "redis") -> str:
        """How a client names it."""
        return f"{scheme}://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        # The settings go in by standard input: what stands on a command line is for all to see.
        settings = [f"port {self.port}", "bind 127.0.0.1", 'save ""', "appendonly no", f"dir {self.folder}"]
        settings.append(f"requirepass {self.password}")
        log = (self.folder / "redis.log").open("ab")
        with log:
            self._process = subprocess.Popen(["redis-server", "-"], stdin=subprocess.PIPE, stdout=log, stderr=log)
        assert self._process.stdin is not None
        with self._process.stdin as stdin:
            stdin.write("\n".join(settings).encode())
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"Redis did not start:\n{(self.folder / 'redis.log').read_text()}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        with Redis(port=self.port, password=self.password, retry=None, socket_timeout=5) as client:
            try:
                return bool(client.ping())
            except NotThereError:
                return False

    def keys(self) -> set[str]:
        """Names of what it holds."""
        with Redis(port=self.port, password=self.password, decode_responses=True) as client:
            return set(client.scan_iter())

    def freeze(self) -> None:
        """Make it hang: it takes connections and never answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def stop(self) -> None:
        """End it; what it counted is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None


@contextmanager
def running(folder: Path, *, password: str) -> Iterator[RedisServer]:
    """Run a server."""
    server = RedisServer(free_port(), password, folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
