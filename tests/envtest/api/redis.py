"""A real Redis server of the tests' own: on loopback, in memory, gone with the test."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as NotThereError
from redis.retry import Retry

from berth_dev.ports import free_port

START_SECONDS = 60


@dataclass
class RedisServer:
    """A server, or the place of one that was stopped."""

    port: int
    password: str
    folder: Path
    tls: bool
    """It speaks TLS only, with ``tls.crt`` and ``tls.key`` of the folder."""
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def url(self, scheme: str = "redis") -> str:
        """How a client names it."""
        url = f"{scheme}://:{self.password}@127.0.0.1:{self.port}/0"
        return f"{url}?ssl_ca_certs={self.folder}/tls.crt" if self.tls else url

    def _client(self) -> Redis:
        return Redis.from_url(self.url("rediss" if self.tls else "redis"), decode_responses=True)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        # The settings go in by standard input: what stands on a command line is for all to see.
        settings = ["bind 127.0.0.1", 'save ""', "appendonly no", f"dir {self.folder}", f"requirepass {self.password}"]
        if self.tls:
            files = [f"tls-{kind}-file {self.folder}/tls.{end}" for kind, end in (("cert", "crt"), ("key", "key"))]
            settings += ["port 0", f"tls-port {self.port}", "tls-auth-clients no", *files]
        else:
            settings.append(f"port {self.port}")
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
        with self._client() as client:
            client.set_retry(Retry(NoBackoff(), 0))
            try:
                return bool(client.ping())
            except NotThereError:
                return False

    def keys(self) -> set[str]:
        """Names of what it holds."""
        with self._client() as client:
            return set(client.scan_iter())

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Make it hang meanwhile: it takes connections and never answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it; what it counted is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=60)
            self._process = None


@contextmanager
def running(folder: Path, *, password: str, tls: bool = False) -> Iterator[RedisServer]:
    """Run a server."""
    server = RedisServer(free_port(), password, folder, tls)
    server.start()
    try:
        yield server
    finally:
        server.stop()
