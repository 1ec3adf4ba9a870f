"""``/healthz``, ``/readyz`` and ``/metrics`` on one port."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import prometheus_client
from aiohttp import web

from berth_core.kube.cache import Cache
from berth_notifier.notifying import LONGEST_NAP, Notifier

STUCK_SECONDS: Final = LONGEST_NAP + 30.0
"""The loop looks at what is due at least every LONGEST_NAP."""


@asynccontextmanager
async def serving(port: int, notifier: Notifier, cache: Cache) -> AsyncIterator[None]:
    """Serve for the length of a ``with`` block; OSError when the port is taken."""

    async def healthz(_: web.Request) -> web.Response:
        age = time.monotonic() - notifier.last_look
        alive = age < STUCK_SECONDS or not cache.is_synced
        return web.json_response({"lastLookSeconds": round(age, 3)}, status=200 if alive else 503)

    async def readyz(_: web.Request) -> web.Response:
        return web.json_response({"listed": cache.is_synced}, status=200 if cache.is_synced else 503)

    async def metrics(_: web.Request) -> web.Response:
        text = prometheus_client.generate_latest()
        return web.Response(body=text, headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        yield
    finally:
        await runner.cleanup()
