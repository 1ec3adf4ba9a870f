"""``/healthz``, ``/readyz`` and ``/metrics`` of a process, on one port."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import prometheus_client
from aiohttp import web

Probe = Callable[[], tuple[bool, Mapping[str, Any]]]
"""Whether all is well, and what the answer says."""


@asynccontextmanager
async def serving(
    port: int, healthz: Probe, readyz: Probe, measure: Callable[[], None] = lambda: None
) -> AsyncIterator[None]:
    """Serve for the length of a ``with`` block; ``measure`` runs before each ``/metrics``.

    Raises OSError where the port is taken.
    """

    async def metrics(_: web.Request) -> web.Response:
        measure()
        text = prometheus_client.generate_latest()
        return web.Response(body=text, headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes(
        [web.get("/healthz", _answering(healthz)), web.get("/readyz", _answering(readyz)), web.get("/metrics", metrics)]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        yield
    finally:
        await runner.cleanup()


def _answering(probe: Probe) -> Callable[[web.Request], Any]:
    async def answer(_: web.Request) -> web.Response:
        well, state = probe()
        return web.json_response(state, status=200 if well else 503)

    return answer
