"""A test's Deliveries, and receivers of webhooks that listen on this machine."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from berth_core.kube.client import Client
from berth_core.kube.types import Object
from berth_core.resources import Delivery, DeliverySpec, manifest

DELIVERIES = Delivery.api()
SECONDS = 90.0
"""How long a Delivery may take to get somewhere, the start of a notifier included."""


@dataclass(frozen=True)
class Got:
    """One request that a receiver got; names of headers are in lower case."""

    body: bytes
    headers: dict[str, str]
    path: str = ""

    @property
    def id(self) -> str:
        """Its `webhook-id`."""
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """Answers with the statuses in turn, the last one again and again; 0 stands for no answer at all."""

    statuses: list[int]
    location: str = ""
    first_pause: int = 0
    """Seconds without another attempt for which the first answer asks (Retry-After)."""
    scheme: str = "http"
    got: list[Got] = field(default_factory=list)
    port: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"

    async def handle(self, request: web.Request) -> web.Response:
        """Take one request."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append(Got(await request.read(), headers, request.path))
        self.arrived.set()
        status = self.statuses[min(len(self.got), len(self.statuses)) - 1]
        if status == 0:
            await asyncio.Event().wait()
        answer = {"Location": self.location} if self.location else {}
        if self.first_pause and len(self.got) == 1:
            answer["Retry-After"] = str(self.first_pause)
        return web.Response(status=status, headers=answer)


@asynccontextmanager
async def receiving(
    *statuses: int, location: str = "", first_pause: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """A receiver for the length of a `with` block."""
    receiver = Receiver(list(statuses) or [204], location, first_pause, "https" if tls is not None else "http")
    app = web.Application()
    app.router.add_route("*", "/hook{rest:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()


@dataclass(frozen=True)
class Post:
    """Deliveries of a test's namespace."""

    client: Client
    namespace: str

    async def make(self, name: str, url: str, *, user: str = "alice", payload: str = '{"ü":1}') -> Object:
        """Make a Delivery, as the operator does."""
        spec = DeliverySpec(url=url, payload=payload, id=f"msg_{name}", user=user, reservation="r", instance="i")
        return await self.client.create(DELIVERIES, self.namespace, manifest(Delivery, self.namespace, name, spec))

    async def get(self, name: str) -> Delivery:
        """Read a Delivery."""
        return Delivery.parse(await self.client.get(DELIVERIES, self.namespace, name))

    async def until(self, name: str, holds: Callable[[Delivery], Any], seconds: float = SECONDS) -> Delivery:
        """Watch a Delivery until the predicate holds; it may have to be made yet."""
        last: Object = {}
        only = {"metadata.name": name}
        try:
            async with asyncio.timeout(seconds):
                listed, version = await self.client.list(DELIVERIES, self.namespace, fields=only)
                for last in listed:
                    if holds(Delivery.parse(last)):
                        return Delivery.parse(last)
                while True:
                    async for event in self.client.watch(DELIVERIES, self.namespace, version, fields=only):
                        version = event.object["metadata"]["resourceVersion"]
                        if event.type in ("ADDED", "MODIFIED"):
                            last = event.object
                            if holds(Delivery.parse(last)):
                                return Delivery.parse(last)
        except TimeoutError:
            pytest.fail(f"delivery {name} never got there; last seen: {json.dumps(last, indent=1)}")

    async def until_gone(self, name: str, seconds: float = SECONDS) -> None:
        """Watch a Delivery until it is deleted."""
        only = {"metadata.name": name}
        async with asyncio.timeout(seconds):
            left, version = await self.client.list(DELIVERIES, self.namespace, fields=only)
            while left:
                async for event in self.client.watch(DELIVERIES, self.namespace, version, fields=only):
                    if event.type == "DELETED":
                        return

    async def patch_status(self, name: str, status: Object) -> None:
        """Write into a Delivery's status."""
        await self.client.patch(DELIVERIES, self.namespace, name, {"status": status}, subresource="status")


def shown(delivery: Delivery, kind: str) -> tuple[str, str] | None:
    """Status and reason of a condition; None where it is absent."""
    return next(((c.status, c.reason) for c in delivery.status.conditions if c.type == kind), None)
