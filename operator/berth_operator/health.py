"""``/healthz``, ``/readyz`` and ``/metrics`` on one port."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import prometheus_client
from aiohttp import web

from berth_operator.engine import metrics
from berth_operator.engine.world import World
from berth_operator.leadership.leading import Leadership
from berth_operator.leadership.tenancy import Tenancy

STUCK_SECONDS: Final = 60.0
"""A pass takes milliseconds to seconds. One key neglected for this long means that the process is stuck."""


class Health:
    """Answers the probes."""

    def __init__(self, world: World, leadership: Leadership) -> None:
        self._world = world
        self._leadership = leadership
        self.watching = False
        """Whether the watches have been started."""

    @asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[None]:
        """Serve for the length of a ``with`` block; OSError when the port is taken."""
        app = web.Application()
        app.add_routes(
            [web.get("/healthz", self._healthz), web.get("/readyz", self._readyz), web.get("/metrics", self._metrics)]
        )
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, port=port).start()
            yield
        finally:
            await runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        age = self._world.queue.oldest_age()
        state = {
            "leading": self._leadership.held,
            "queueAgeSeconds": round(age, 3),
            "watching": self.watching,
            "clockTrusted": self._world.clock.trusted,
            "lastEventSeconds": round(time.monotonic() - self._world.last_event, 3),
        }
        return web.json_response(state, status=200 if age < STUCK_SECONDS else 503)

    async def _readyz(self, _request: web.Request) -> web.Response:
        state = {"watching": self.watching, "problem": self._world.state(Tenancy).problem}
        return web.json_response(state, status=200 if self.watching and not self._world.state(Tenancy).problem else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        metrics.CLOCK_TRUSTED.set(self._world.clock.trusted)
        metrics.QUEUE_AGE.set(self._world.queue.oldest_age())
        text = prometheus_client.generate_latest()
        return web.Response(body=text, headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST})
