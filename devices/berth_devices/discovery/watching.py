"""Hears of changes by the kernel's netlink socket, in a callback of the event loop.

An event only says that there is something to see. The look that follows reads everything, so lost, doubled and late
events do no harm.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pyudev
import structlog

from berth_devices.discovery.facts import SUBSYSTEMS

log = structlog.get_logger(__name__)


class Uevents:
    """Hears of the kernel's events and sets a flag.

    The group ``kernel`` is heard in every network namespace of the host's user namespace, so a pod of its own network
    hears it; the group ``udev`` only where udev runs.
    """

    def __init__(self, source: str = "kernel") -> None:
        self.heard = asyncio.Event()
        self._monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Hear for the length of a ``with`` block."""
        self._monitor.start()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._monitor.fileno(), self._drain)
        try:
            yield
        finally:
            loop.remove_reader(self._monitor.fileno())

    async def wait(self, seconds: float) -> bool:
        """Wait for an event, at most some seconds; return whether one came."""
        try:
            async with asyncio.timeout(seconds):
                await self.heard.wait()
        except TimeoutError:
            return False
        self.heard.clear()
        return True

    def _drain(self) -> None:
        try:
            while (device := self._poll()) is not None:
                if device.subsystem in SUBSYSTEMS:
                    self.heard.set()
        except OSError as error:  # the buffer was too small, so events are lost
            log.warning("lost events of the kernel", error=str(error))
            self.heard.set()

    def _poll(self) -> Any:
        return self._monitor.poll(timeout=0)
