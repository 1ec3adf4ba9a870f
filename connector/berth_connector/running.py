"""``berth-connector run``: links, the fence, renewal of the certificate, and what `status` shows."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import time
from contextlib import suppress
from typing import Final

from berth_connector import hubclient, log
from berth_connector.config import Config
from berth_connector.guard import Guard
from berth_connector.hubclient import HubError
from berth_connector.identity import Identity, IdentityError
from berth_connector.links import PROTOCOL, Links
from berth_connector.record import Record

STATUS: Final = "status.json"
LOOK_AT_DATES: Final = 3600.0
RENEW_AGAIN: Final = 60.0
_WATCHDOG: Final = 1.0


class Running:
    """One running connector."""

    def __init__(self, config: Config, own: Identity, record: Record, version: str) -> None:
        self._config = config
        self._own = own
        self._record = record
        self._version = version
        self._guard = Guard(config, record, own.trust.keys, own.uid)
        self._guard.report = self.report
        self._links = Links(own, self._guard, version, self._changed)

    async def run(self) -> None:
        """Run until SIGTERM; then bring the machines to rest."""
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        self._guard.start()
        tasks = [
            asyncio.ensure_future(one)
            for one in (self._guard.watch(), self._links.run(), self._renew(), self._tell_systemd(), stop.wait())
        ]
        notify("READY=1")
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for link in list(self._links.standing.values()):
            link.end("the connector was stopped")
        await self._guard.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in ended:
            task.result()

    def report(self) -> bytes:
        """Return how things stand, for the hub: one line of JSON."""
        state = {"protocol": PROTOCOL, "version": self._version, "notAtRest": self._guard.owed}
        return json.dumps(state).encode()

    def _changed(self) -> None:
        """Write down how things stand, for `status`; no promise rests on this file."""
        state = {
            "pid": os.getpid(),
            "version": self._version,
            "links": sorted(self._links.standing),
            "problem": self._links.problem,
            "since": time.time(),
        }
        path = os.path.join(self._config.state, STATUS)
        try:
            with open(path + ".new", "w", encoding="utf-8") as file:
                json.dump(state, file)
            os.replace(path + ".new", path)
        except OSError as error:
            log.event("status not written", "warning", message=str(error))

    async def _renew(self) -> None:
        """Renew the certificate when half of its time is over, or when it has expired."""
        loop = asyncio.get_running_loop()
        while True:
            pause = LOOK_AT_DATES
            try:
                begin, end = await loop.run_in_executor(None, self._own.dates)
                if time.time() >= (begin + end) / 2:
                    renewed = await loop.run_in_executor(None, hubclient.renew, self._config.hub, self._own)
                    await loop.run_in_executor(None, self._own.replace_certificate, renewed)
                    log.event("certificate renewed")
                    continue
                pause = min(pause, (begin + end) / 2 - time.time())
            except (HubError, IdentityError, OSError) as error:
                log.event("certificate not renewed", "warning", message=str(error))
                pause = RENEW_AGAIN * random.uniform(1.0, 2.0)  # noqa: S311 (jitter)
            await asyncio.sleep(max(pause, 1.0))

    async def _tell_systemd(self) -> None:
        """Tell systemd that the loop goes on: a connector that hangs is killed, and with it its sockets."""
        while True:
            notify("WATCHDOG=1")
            await asyncio.sleep(_WATCHDOG)


def notify(state: str, address: str | None = None) -> None:
    """Tell systemd (sd_notify), where it has started this process."""
    path = address or os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock, suppress(OSError):
        sock.sendto(state.encode(), "\0" + path[1:] if path.startswith("@") else path)
