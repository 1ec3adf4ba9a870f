"""Identity of a request's sender, read once, before anything else looks at the request."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from berth_api.auth.identity import Identity
from berth_api.auth.revocations import Revocations
from berth_api.auth.tokens import TokenVerifier
from berth_api.http.errors import ApiError, AwayError, WrongTokenError


@dataclass(frozen=True)
class Standing:
    """Result of reading a request's token: an identity, or why there is none. Neither: no token was sent.

    ``unconfirmed`` is the identity of a verified token while the view of revocations is too old to tell whether it was
    revoked. It is for the few routes that accept that risk rather than fail; ``refusal`` is set all the same.
    """

    identity: Identity | None = None
    refusal: ApiError | None = None
    unconfirmed: Identity | None = None


class Keys(Protocol):
    """Parts that judge tokens."""

    @property
    def tokens(self) -> TokenVerifier:
        """Verifies signatures and claims."""

    @property
    def revocations(self) -> Revocations:
        """Knows which tokens were revoked."""


def standing_of(keys: Keys, authorization: Sequence[str]) -> Standing:
    """Judge the values of the ``Authorization`` headers."""
    if not authorization:
        return Standing()
    scheme, _, token = authorization[0].partition(" ")
    if len(authorization) > 1 or scheme.lower() != "bearer":
        return Standing(refusal=WrongTokenError())
    monotonic_now = time.monotonic()
    try:
        identity = keys.tokens.verify(token.strip(" "), now=time.time(), monotonic_now=monotonic_now)
    except (WrongTokenError, AwayError) as refusal:
        return Standing(refusal=refusal)
    try:
        keys.revocations.need_valid(identity, monotonic_now)
    except WrongTokenError as refusal:
        return Standing(refusal=refusal)
    except AwayError as refusal:
        return Standing(refusal=refusal, unconfirmed=identity)
    return Standing(identity)


class Authenticate:
    """ASGI middleware: puts the :class:`Standing` of a request into its state."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            standing = standing_of(scope["app"].state.berth, Headers(scope=scope).getlist("authorization"))
            scope["state"]["standing"] = standing
            scope["state"]["user"] = standing.identity.user if standing.identity is not None else None
        await self._app(scope, receive, send)
