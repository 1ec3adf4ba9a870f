"""Work for every request: its id, common headers, a log line, metrics, and the handler of unexpected failures."""

import re
import time
import uuid
from collections.abc import Iterator
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from berth_api import metrics
from berth_api.config import Config
from berth_api.http import audit, errors
from berth_api.http.client_address import is_trusted, parse_address, peer_of
from berth_api.http.negotiation import VERSION

log = structlog.get_logger(__name__)

SERVICE_PATHS: Final = frozenset({"/healthz", "/readyz"})
UNRECOGNIZED: Final = "unrecognized"
EXPOSED: Final = ", ".join(
    (
        "X-Request-Id",
        "X-API-Version",
        "Retry-After",
        "X-RateLimit-Limit",
        "X-RateLimit-Remaining",
        "X-RateLimit-Reset",
        "RateLimit",
        "RateLimit-Policy",
        "Idempotency-Replayed",
    )
)
"""Headers that a page of another origin may read."""
_AUDITED_BYTES: Final = 64 * 1024
_SHOWN_CHARACTERS: Final = 64
"""Characters shown of an unknown path, which may hold anything, such as a token that somebody wanted to revoke."""
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")


class Envelope:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, config: Config) -> None:
        self._app = app
        self._config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send, self._config)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=exchange.request_id)
        try:
            await self._app(scope, receive, exchange.send)
        except ClientDisconnect:
            log.info("client went away")
        except Exception:
            # The last resort: the client gets only an id, the log gets the details.
            log.exception("unexpected failure")
            if not exchange.status:
                await errors.internal(exchange.request_id)(scope, receive, exchange.send)
        finally:
            exchange.account()


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, send: Send, config: Config) -> None:
        self._scope = scope
        self._send = send
        self._start = time.perf_counter()
        self._body = bytearray() if scope["method"] in audit.CHANGING else None
        """Body of the answer, for the audit of changes; else None."""
        self.headers = Headers(scope=scope)
        self.status = 0
        socket = scope["client"][0] if scope.get("client") else ""
        proxies = config.trusted_proxies
        self.peer = peer_of(socket, self.headers.getlist("x-forwarded-for"), proxies)
        by_proxy = (address := parse_address(socket)) is not None and is_trusted(address, proxies)
        header = self.headers.get("x-request-id", "") if by_proxy else ""
        self.request_id = header if _REQUEST_ID.fullmatch(header) else str(uuid.uuid4())
        self.allowed_origin = self._origin(config)
        self._varies = bool(config.allowed_origins) and "*" not in config.allowed_origins
        scope.setdefault("state", {}).update(
            request_id=self.request_id,
            peer=self.peer,
            by_proxy=by_proxy,
            allowed_origin=self.allowed_origin,
            limit_headers={},
        )

    def _origin(self, config: Config) -> str | None:
        origin = self.headers.get("origin")
        if origin is None or not config.allowed_origins & {origin, "*"}:
            return None
        return "*" if "*" in config.allowed_origins else origin

    async def send(self, message: Message) -> None:
        """Add the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self._common_headers()]
            if not any(name == b"cache-control" for name, _ in message["headers"]):
                message["headers"].append((b"cache-control", b"no-store"))
            if self._varies:
                MutableHeaders(scope=message).add_vary_header("Origin")
        elif self._body is not None and len(self._body) < _AUDITED_BYTES:
            self._body += message.get("body", b"")
        await self._send(message)

    def _common_headers(self) -> Iterator[tuple[bytes, bytes]]:
        yield b"x-request-id", self.request_id.encode()
        yield b"x-api-version", VERSION.encode()
        yield b"x-content-type-options", b"nosniff"
        for name, value in self._scope["state"]["limit_headers"].items():
            yield name.lower().encode(), value.encode()
        if self.allowed_origin is not None:
            yield b"access-control-allow-origin", self.allowed_origin.encode("latin-1")
            yield b"access-control-expose-headers", EXPOSED.encode()

    def account(self) -> None:
        """Write the log line and the audit's, and count."""
        seconds = time.perf_counter() - self._start
        path, method = self._scope["path"], self._scope["method"]
        route = getattr(self._scope.get("route"), "path", UNRECOGNIZED)
        counted = method if method in {"GET", "POST", "PATCH", "DELETE", "OPTIONS", "HEAD"} else "other"
        metrics.REQUESTS.labels(counted, route, self.status).inc()
        metrics.SECONDS.labels(route).observe(seconds)
        if path in SERVICE_PATHS:
            return
        if self._body is not None:
            audit.record(self._scope, self.status, bytes(self._body))
        log.info(
            "request",
            method=method,
            path=path if route != UNRECOGNIZED else path[:_SHOWN_CHARACTERS],
            status=self.status,
            ms=round(seconds * 1000, 1),
            peer=str(self.peer) if self.peer else None,
            user=self._scope["state"].get("user"),
        )
