"""The audit: one line for each request that changes something. Never bodies, keys, passwords or tokens."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson
import structlog
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

log = structlog.get_logger("berth.audit")

CHANGING: Final = frozenset({"POST", "PATCH", "DELETE"})
MADE: Final = ("id", "rule_id", "client_id", "pid", "jid")
"""Fields of answers that name new objects."""
LONGEST: Final = 256
"""Characters kept of a text that a client chose."""
DIGEST: Final = 16
"""Hex digits of a token's SHA-256 that identify it."""


def record(scope: Scope, status: int, body: bytes) -> None:
    """Write the line of an answered request; status 0: it had no answer. Requests that change nothing are left out."""
    route = _route_of(scope)
    if route is None:
        return
    template, target = route
    state = scope["state"]
    answer = _fields(body)
    user, proof = _who(scope, template)
    log.info(
        "audit",
        action=f"{scope['method']} {template}",
        user=user,
        proof=proof,
        token_sha256=_token_of(scope),
        peer=str(state["peer"]) if state["peer"] is not None else None,
        target=target,
        made={name: answer[name] for name in MADE if name in answer} if 200 <= status < 300 else {},
        status=status,
        result=result_of(status, answer),
        error=str(answer["error_message"])[:LONGEST] if "error_message" in answer else None,
        replayed=state.get("replayed", False),
    )


def result_of(status: int, answer: Mapping[str, Any]) -> str:
    """Return the result in a word: busy is a refusal, though its status is 503. Pure."""
    if 200 <= status < 400:
        return "ok"
    return "refused" if 400 <= status < 500 or "result_message" in answer else "failed"


def _route_of(scope: Scope) -> tuple[str, dict[str, Any]] | None:
    """Template and parameters of the requested route; None where it changes nothing, or is a mere ping."""
    if scope["method"] not in CHANGING:
        return None
    for route in scope["app"].state.known_routes:
        match, inner = route.matches(scope)
        if match is Match.FULL:
            template: str = route.path
            return None if template.endswith("/ka") else (template, dict(inner.get("path_params", {})))
    return None


def _who(scope: Scope, template: str) -> tuple[str | None, str | None]:
    """Caller and kind of proof. A purge can be asked for with a password: then the claimed user."""
    state = scope["state"]
    claimed = _claimed(scope) if template == "/purge" else None
    if claimed is not None:
        return claimed[:LONGEST], "password"
    user = state.get("user")
    return user, "token" if user is not None else None


def _claimed(scope: Scope) -> str | None:
    scheme, _, rest = Headers(scope=scope).get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest.strip()).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return None
    user = scope["state"].get("claimed_user")
    return user if isinstance(user, str) else None


def _token_of(scope: Scope) -> str | None:
    """First digits of the SHA-256 of the token that was sent, whether it counts or not."""
    scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    return hashlib.sha256(token.strip(" ").encode("latin-1")).hexdigest()[:DIGEST]


def _fields(body: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}  # an answer without a body
    return parsed if isinstance(parsed, dict) else {}
