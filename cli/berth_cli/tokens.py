"""What is in a token, and its signature."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import jwt

from berth_core import ids

LONGEST_LIFE: Final = timedelta(days=366)
LONGEST_USER: Final = 253
ALGORITHM: Final = "RS256"


@dataclass(frozen=True)
class TokenRequest:
    """What a token shall say. ``life`` counts from now."""

    user: str
    life: timedelta
    issuer: str = "berth"
    audience: str = "berth"
    superuser: bool = False
    scope: tuple[str, ...] = ()
    instance: str | None = None
    types: tuple[str, ...] = ()
    organisation: str | None = None


def claims(request: TokenRequest, now: datetime) -> dict[str, Any]:
    """Return the claims (RFC 7519, and Berth's own). Raises ValueError for what the API would refuse."""
    if not 0 < len(request.user) <= LONGEST_USER or not request.user.isprintable():
        raise ValueError(f"a user's name has 1 to {LONGEST_USER} printable characters")
    if request.life > LONGEST_LIFE:
        raise ValueError(f"a token lives at most {LONGEST_LIFE.days} days; make another one then")
    if request.instance is not None and not ids.is_uuid(request.instance):
        raise ValueError(f"{request.instance!r} is no instance id: take it from `berth status` or GET /instances")
    issued = int(now.timestamp())
    said: dict[str, Any] = {
        "sub": request.user,
        "iss": request.issuer,
        "aud": request.audience,
        "iat": issued,
        "exp": issued + int(request.life.total_seconds()),
    }
    optional = {
        "su": request.superuser or None,
        "sc": list(request.scope) or None,
        "in": request.instance,
        "wt": list(request.types) or None,
        "org": request.organisation,
    }
    return said | {name: value for name, value in optional.items() if value is not None}


def sign(said: dict[str, Any], *, kid: str, pem: bytes) -> str:
    """Sign claims with a private RSA key (PEM)."""
    return jwt.encode(said, pem, algorithm=ALGORITHM, headers={"kid": kid})


def digest(token: str) -> str:
    """SHA-256 of a token, hex: what it is revoked by and what logs call it."""
    return hashlib.sha256(token.encode("ascii")).hexdigest()
