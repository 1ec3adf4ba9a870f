"""Counts each request before its route, and refuses requests beyond the limit."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from berth_api.auth.identity import Identity
from berth_api.http import errors
from berth_api.http.errors import ApiError
from berth_api.ratelimit.allowance import Allowance, headers, is_limited, is_preflight, refusal
from berth_api.ratelimit.limiter import Limiter


class TooManyRequestsError(ApiError):
    """429, or what the configuration says: the window's requests are used up."""

    def __init__(self, message: str, *, status: int, retry_after: float) -> None:
        super().__init__(message, retry_after=retry_after)
        self.status = status


class RateLimited:
    """ASGI middleware: counts each request, refuses those beyond the limit, sets ``limit_headers``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and is_limited(scope["method"], scope["path"], by_token=_token(scope) is not None):
            try:
                await count(scope)
            except TooManyRequestsError as error:
                await errors.answer(error, scope["path"])(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def count(scope: Scope) -> None:
    """Count a request, and set ``limit_headers``. Raises TooManyRequestsError."""
    limiter: Limiter = scope["app"].state.berth.limiter
    allowance = await _allowance(limiter, scope)
    scope["state"]["limit_headers"].update(headers(allowance))
    if not allowance.passes:
        raise TooManyRequestsError(refusal(allowance), status=limiter.refusal_status, retry_after=allowance.wait)


def _token(scope: Scope) -> Identity | None:
    # A token that cannot be judged now counts on its own; else in an outage its user would use up the limit that others
    # at the address share.
    standing = scope["state"]["standing"]
    identity: Identity | None = standing.identity or standing.unconfirmed
    return identity


async def _allowance(limiter: Limiter, scope: Scope) -> Allowance:
    # A token that does not count is treated as none: its requests are the address's.
    identity = _token(scope)
    peer = scope["state"]["peer"]
    # Browsers send preflights without the token: these would use up the limit that others at the address share.
    if is_preflight(scope["method"], Headers(scope=scope).getlist("access-control-request-method")):
        return await limiter.look(identity, peer)
    return await limiter.take(identity, peer)
