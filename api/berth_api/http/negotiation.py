"""Decisions before routing: the requested version, HEAD, and preflights of browsers."""

import re
from collections.abc import Sequence
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from berth_api.http import errors
from berth_api.http.answers import Empty
from berth_api.http.errors import NotAcceptableError, UnrecognizedError

VERSION: Final = "1"
REQUEST_HEADERS: Final = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
"""Headers that a page of another origin may send."""
BODILESS: Final = "bodiless"
"""Key in the state of a request's scope: the answer's body is not wanted."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_VERSIONED: Final = re.compile(r"application/vnd\.(?:rerobots|berth)\.v([0-9]+)\+json", re.IGNORECASE)


def version_refused(accept: Sequence[str]) -> bool:
    """Whether the ``Accept`` headers ask only for versions that are not served. Pure."""
    ranges = [part.partition(";")[0].strip() for value in accept for part in value.split(",")]
    versions = [match.group(1) for part in ranges if (match := _VERSIONED.fullmatch(part))]
    others = any(part in {"*/*", "application/*", "application/json"} for part in ranges)
    return bool(versions) and VERSION not in versions and not others


class Negotiate:
    """ASGI middleware that answers requests that need no route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif _CONTROL.search(scope["path"]):
            # Routes are matched by regular expressions whose `$` also stands before a final line feed.
            await errors.answer(UnrecognizedError(), scope["path"])(scope, receive, send)
        elif version_refused(Headers(scope=scope).getlist("accept")):
            error = NotAcceptableError("unknown version of the API; served: application/vnd.rerobots.v1+json")
            await errors.answer(error, scope["path"])(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await _preflight(scope, receive, send)
        elif scope["method"] == "HEAD":
            await self._head(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve HEAD as GET (RFC 9110, section 9.3.2). The server leaves out the body, by its own scope."""
        inner = {**scope, "method": "GET"}
        inner["state"][BODILESS] = True
        try:
            await self._app(inner, receive, send)
        finally:
            scope["route"] = inner.get("route")


async def _preflight(scope: Scope, receive: Receive, send: Send) -> None:
    methods = errors.allowed_methods(Request(scope))
    if not methods:
        await errors.answer(UnrecognizedError(), scope["path"])(scope, receive, send)
        return
    response = Empty()
    response.headers["Allow"] = ", ".join(sorted(methods))
    if scope["state"]["allowed_origin"] is not None:
        response.headers["Access-Control-Allow-Methods"] = response.headers["Allow"]
        response.headers["Access-Control-Allow-Headers"] = REQUEST_HEADERS
        response.headers["Access-Control-Max-Age"] = "600"
    await response(scope, receive, send)
