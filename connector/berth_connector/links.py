"""Keeps a link to every replica of the hub, behind however many addresses.

A connection through a load balancer comes out at any replica. So each is told which replicas are linked already, and
says who it is and how many there are; connections are made until there is a link to each.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Mapping
from typing import Callable, Final

from berth_connector import log
from berth_connector.guard import Guard
from berth_connector.identity import HUB_NAME, Identity, IdentityError
from berth_tunnel import heads
from berth_tunnel.link import Link
from berth_tunnel.wire import Wire

PROTOCOL: Final = 1
"""Version of the link's protocol. The hub serves those of the two releases before its own."""
CONNECT_SECONDS: Final = 10.0
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 5.0
LOOK_AGAIN: Final = 15.0
"""Seconds after which a connector that has all its links looks whether there are more replicas."""


class Links:
    """Links of one connector, by the replicas' names."""

    def __init__(self, own: Identity, guard: Guard, version: str, changed: Callable[[], None]) -> None:
        self._own = own
        self._guard = guard
        self._version = version
        self._changed = changed
        self._next = 0
        self._wanted = 1
        self._news = asyncio.Event()
        self.standing: dict[str, Link] = {}
        self.problem: str | None = None
        """Why the latest attempt failed; None where it did not."""

    async def run(self) -> None:
        """Link until cancelled."""
        pause = FIRST_PAUSE
        while True:
            before = len(self.standing)
            problem = await self._attempt()
            if problem != self.problem:
                self.problem = problem
                if problem is not None:
                    log.event("no link", "warning", message=problem)
                self._changed()
            pause = FIRST_PAUSE if len(self.standing) > before else min(2 * pause, LONGEST_PAUSE)
            if len(self.standing) >= self._wanted:
                pause = FIRST_PAUSE
                await self._nap(LOOK_AGAIN)
            else:
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)

    async def _nap(self, seconds: float) -> None:
        self._news.clear()
        try:
            await asyncio.wait_for(self._news.wait(), seconds * random.uniform(0.7, 1.0))  # noqa: S311 (jitter)
        except asyncio.TimeoutError:
            return

    async def _attempt(self) -> str | None:
        """Make one connection; what is wrong, or None."""
        hubs = self._guard.config.hub
        host, port = hubs[self._next % len(hubs)]
        self._next += 1
        wire: Wire | None = None
        try:
            context = self._own.context()
            made = asyncio.get_running_loop().create_connection(Wire, host, port, ssl=context, server_hostname=HUB_NAME)
            _, connected = await asyncio.wait_for(made, CONNECT_SECONDS)
            wire = connected
            answer = await asyncio.wait_for(self._ask(connected), CONNECT_SECONDS)
        except (OSError, ssl.SSLError, IdentityError, asyncio.TimeoutError, heads.HeadError) as error:
            if wire is not None:
                wire.abort()
            return f"{host}:{port}: {error or 'no answer in time'}"
        replica, fields = answer.headers.get("berth-replica", ""), answer.headers
        self._wanted = min(max(int(fields.get("berth-replicas", "1") or "1"), 1), 16) if _number(fields) else 1
        if answer.status == 101 and replica:
            self._take(connected, replica)
            return None
        connected.abort()
        if answer.status == 409:
            return None
        return f"{host}:{port} answers {answer.status}: {fields.get('berth-message', '(no reason given)')}"

    async def _ask(self, wire: Wire) -> heads.Answer:
        linked = ",".join(self.standing)
        wire.write(
            heads.request(
                "GET",
                "/v1/link",
                {
                    "Host": HUB_NAME,
                    "Connection": "Upgrade",
                    "Upgrade": "berth-link",
                    "Berth-Protocol": str(PROTOCOL),
                    "Berth-Version": self._version,
                    "Berth-Linked": linked or "-",
                },
            )
        )
        return heads.parse_answer(await wire.head())

    def _take(self, wire: Wire, replica: str) -> None:
        former = self.standing.pop(replica, None)

        def ended(why: str) -> None:
            if self.standing.get(replica) is link:
                del self.standing[replica]
            self._guard.unlinked(link)
            log.event("link ended", "warning", replica=replica, why=why)
            self._news.set()
            self._changed()

        link: Link = Link(
            wire,
            on_end=ended,
            accept=lambda stream, headers: self._guard.accept(link, stream, headers),
            most_silence=self._guard.config.link_loss_timeout,
        )
        self.standing[replica] = link
        self._guard.linked(link)
        link.start()
        if former is not None:
            former.end("another took its place")
        log.event("linked", replica=replica, replicas=self._wanted)
        self._changed()


def _number(fields: Mapping[str, str]) -> bool:
    text = fields.get("berth-replicas", "")
    return text.isascii() and text.isdigit() and len(text) < 4
