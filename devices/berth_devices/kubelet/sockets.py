"""The sockets that the kubelet reaches the driver by, and the lock that one process of a node has at a time."""

import asyncio
import fcntl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
import structlog

from berth_core import names
from berth_devices.kubelet.plugin import Plugin

log = structlog.get_logger(__name__)

LONGEST_PATH: Final = 107
"""Bytes of a unix socket's path (unix(7))."""
GRACE_SECONDS: Final = 10.0
"""Time for calls under way when the process ends."""
LOCK_PAUSE: Final = 0.2


@dataclass(frozen=True)
class Paths:
    """Folders and sockets of the driver below the kubelet's folder."""

    kubelet: Path
    """The folder as the kubelet has it."""
    host: Path | None = None
    """Folder in which a container has parts of its node: ``plugin`` and ``registration`` are the kubelet's."""

    @property
    def endpoint(self) -> Path:
        """Socket of the DRA service, as the kubelet finds it."""
        return self._plugin / self.service.name

    @property
    def state(self) -> Path:
        """The driver's own folder."""
        return self.host / "plugin" if self.host is not None else self._plugin

    @property
    def service(self) -> Path:
        """Socket of the DRA service."""
        return self.state / "dra.sock"

    @property
    def registration(self) -> Path:
        """Socket of the registration; the kubelet watches its folder."""
        folder = self.host / "registration" if self.host is not None else self.kubelet / "plugins_registry"
        return folder / f"{names.DEVICE_DRIVER}-reg.sock"

    @property
    def _plugin(self) -> Path:
        return self.kubelet / "plugins" / names.DEVICE_DRIVER

    def check(self) -> None:
        """Raise ValueError where a socket's path is too long for the kernel."""
        outside = self.kubelet / "plugins_registry" / self.registration.name
        for path in (self.endpoint, self.service, self.registration, outside):
            if len(str(path).encode()) > LONGEST_PATH:
                raise ValueError(f"{path} is longer than {LONGEST_PATH} bytes: give a shorter BERTH_KUBELET_DIR")


@asynccontextmanager
async def serving(plugin: Plugin, paths: Paths) -> AsyncIterator[None]:
    """Serve for the length of a ``with`` block, the registration last and gone first. Raises OSError."""
    server = grpc.aio.server()
    plugin.add_to(server)
    for path in (paths.service, paths.registration):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # of a process that was killed
        server.add_insecure_port(f"unix:{path}")
    await server.start()
    log.info("serving", registration=str(paths.registration))
    try:
        yield
    finally:
        paths.registration.unlink(missing_ok=True)
        await server.stop(GRACE_SECONDS)


@asynccontextmanager
async def alone(paths: Paths) -> AsyncIterator[None]:
    """Be the only process with this folder; wait until an earlier one has ended."""
    paths.state.mkdir(parents=True, exist_ok=True)
    with (paths.state / "lock").open("w") as lock:
        waits = False
        while not _taken(lock.fileno()):
            if not waits:
                log.info("waiting for the earlier process of this node to end")
            waits = True
            await asyncio.sleep(LOCK_PAUSE)
        yield  # the end of the file's life ends the lock


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
