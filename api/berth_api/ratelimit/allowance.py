"""Limit that a request counts against, whether it passes, and the headers that tell so. Pure."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from limits import RateLimitItemPerSecond

from berth_api.auth.identity import Identity
from berth_api.config import RateLimit
from berth_api.http.client_address import Address
from berth_core import ids

KEPT_SECONDS: Final = 24 * 3600

SERVICE_PATHS: Final = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs"})
IPV6_PREFIX: Final = 64
"""Bits of an IPv6 address that count: its owner can choose the rest freely."""
_KEEP_ALIVE: Final = re.compile(r"/instance/[0-9a-fA-F-]{36}/ka")


@dataclass(frozen=True, slots=True)
class Limit:
    """How many ``requests`` pass in each window of ``window`` seconds, counted under ``key``."""

    kind: str
    """``token``, ``peer`` or ``keys``."""
    key: str
    requests: int
    window: int


@dataclass(frozen=True, slots=True)
class Reading:
    """Count of a store in a window."""

    requests: int
    reset: int
    """End of the window, in seconds since the Epoch, rounded up: one value for all requests of a window."""
    seconds_left: float
    """Seconds until then."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """Limits as an answer tells them: N = ``limit``, M = ``remaining``, T = ``reset``; 0 ≤ M < N always."""

    limit: int
    window: int
    remaining: int
    reset: int
    wait: int
    """Whole seconds until the window has ended, from 1 to ``window``."""
    passes: bool


def is_limited(method: str, path: str, *, by_token: bool) -> bool:
    """Whether a request counts before its route looks at it.

    Probes and documentation do not count. A ping with a token counts where its route finds no instance that it keeps.
    """
    if path in SERVICE_PATHS or path.startswith("/docs/"):
        return False
    return not (by_token and method == "POST" and _KEEP_ALIVE.fullmatch(path))


def limit_of(settings: RateLimit, identity: Identity | None, peer: Address | None) -> Limit:
    """Return the limit for a valid token, else for the address; requests without a known address share a limit."""
    if identity is not None:
        return _limit("token", identity.digest, settings.per_token, settings.window)
    return _limit("peer", _network(peer), settings.per_peer, settings.window)


def limit_of_keys(settings: RateLimit, identity: Identity) -> Limit:
    """Return the limit for those records of a user's requests with a key that stay for 24 h."""
    return _limit("keys", ids.user_object(identity.user), settings.keys_per_user, KEPT_SECONDS)


def _limit(kind: str, who: str, requests: int, window: int) -> Limit:
    # N and the window are in the key, so that other settings begin a new count.
    key = RateLimitItemPerSecond(requests, window, kind).key_for(who)
    return Limit(kind, key, requests, window)


def _network(peer: Address | None) -> str:
    if peer is None:
        return "unknown"
    if isinstance(peer, IPv6Address):
        return str(IPv6Network((int(peer), IPV6_PREFIX), strict=False))
    return str(peer)


def is_preflight(method: str, request_methods: Sequence[str]) -> bool:
    """Whether a browser asks before it sends; ``request_methods``: its ``Access-Control-Request-Method``."""
    return method == "OPTIONS" and bool(request_methods)


def judge(limit: Limit, reading: Reading) -> Allowance:
    """Decide whether the last request of the reading passes, and how many are left after it."""
    return Allowance(
        limit=limit.requests,
        window=limit.window,
        remaining=min(max(limit.requests - reading.requests, 0), limit.requests - 1),
        reset=reading.reset,
        wait=min(max(math.ceil(reading.seconds_left), 1), limit.window),
        passes=reading.requests <= limit.requests,
    )


def untouched(limit: Limit, now: float) -> Reading:
    """Return the reading of a window that would begin ``now`` (seconds since the Epoch)."""
    return Reading(0, math.ceil(now + limit.window), limit.window)


def headers(allowance: Allowance) -> dict[str, str]:
    """Return the historic headers, and those of draft-ietf-httpapi-ratelimit-headers-11 (sections 3 and 4)."""
    return {
        "X-RateLimit-Limit": str(allowance.limit),
        "X-RateLimit-Remaining": str(allowance.remaining),
        "X-RateLimit-Reset": str(allowance.reset),
        "RateLimit-Policy": f'"default";q={allowance.limit};w={allowance.window}',
        "RateLimit": f'"default";r={allowance.remaining};t={allowance.wait}',
    }


def refusal(allowance: Allowance) -> str:
    """Return the message for a refused client."""
    return f"too many requests; try again after {datetime.fromtimestamp(allowance.reset, UTC):%Y-%m-%dT%H:%M:%SZ}"
