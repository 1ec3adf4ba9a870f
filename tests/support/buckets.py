"""A real S3 server over a folder, on loopback and with TLS."""

import os
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from berth_dev.cluster.pki import Authority
from berth_dev.components import BUCKETS, build
from berth_dev.ports import free_port

KEY_ID: Final = "tester"
SECRET: Final = "a-secret-of-the-test"
NAME: Final = "lab"
STARTS_WITHIN: Final = 30.0


@dataclass(frozen=True)
class Bucket:
    """A bucket that is there, while it is not stopped."""

    endpoint: str
    ca_file: Path
    folder: Path
    _server: "_Server"

    def environment(self, prefix: str = "berth") -> dict[str, str]:
        """Variables that name it to operator and API."""
        return {
            "BERTH_ARCHIVE": f"s3://{NAME}/{prefix}",
            "BERTH_ARCHIVE_ENDPOINT": self.endpoint,
            "BERTH_ARCHIVE_KEY_ID": KEY_ID,
            "BERTH_ARCHIVE_SECRET": SECRET,
            "BERTH_ARCHIVE_CA_FILE": str(self.ca_file),
        }

    def stop(self) -> None:
        """Let connections be refused."""
        self._server.stop()

    def start(self) -> None:
        """Serve again, what lay there before."""
        self._server.start(self.endpoint, self.ca_file)


@dataclass
class _Server:
    """The program; raises RuntimeError where it does not start."""

    command: list[str | Path]
    log: Path
    running: subprocess.Popen[bytes] | None = None

    def start(self, endpoint: str, ca_file: Path) -> None:
        keys = {"ROOT_ACCESS_KEY": KEY_ID, "ROOT_SECRET_KEY": SECRET, "PATH": os.environ["PATH"]}
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(self.command, env=keys, stdout=log, stderr=subprocess.STDOUT)
        _until_answered(self.running, endpoint, ca_file, self.log)

    def stop(self) -> None:
        if self.running is not None:
            self.running.terminate()
            self.running.wait(10)


@contextmanager
def bucket(folder: Path) -> Iterator[Bucket]:
    """Run a server until the end of the block; raises RuntimeError where it does not start."""
    authority = Authority(folder / "pki")
    pair, ca_file = authority.server("bucket", hosts=["127.0.0.1"]), authority.pair.certificate
    files, port = folder / "files", free_port()
    (files / NAME).mkdir(parents=True)
    program = build((BUCKETS,)).path("versitygw")
    tls: list[str | Path] = ["--cert", pair.certificate, "--key", pair.key]
    server = _Server([program, "--port", f"127.0.0.1:{port}", *tls, "posix", files], folder / "log")
    made = Bucket(f"https://127.0.0.1:{port}", ca_file, files, server)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def _until_answered(server: subprocess.Popen[bytes], endpoint: str, ca_file: Path, log: Path) -> None:
    trusted, deadline = (
        httpx.Client(verify=ssl.create_default_context(cafile=ca_file)),
        time.monotonic() + STARTS_WITHIN,
    )
    while server.poll() is None and time.monotonic() < deadline:
        try:
            trusted.get(endpoint)
            return
        except httpx.ConnectError:
            time.sleep(0.05)
    raise RuntimeError(f"versitygw does not start: {log.read_text(errors='replace')[-1000:]}")
