"""Claims of a token, and its signature."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jwt

from berth_core import ids
from berth_core.kube.model import timestamp
from berth_core.resources import IssuedTokenSpec

LONGEST_LIFE: Final = timedelta(days=366)
LONGEST_USER: Final = 253
LONGEST_TOKEN: Final = 8192
"""Characters of the longest token that the API reads."""
MOST_TYPES: Final = 64
WRITE_SCOPE: Final = "rw"
OWN_SCOPE: Final = "own"
_TYPE: Final = re.compile(r"[A-Za-z_0-9]+")
ALGORITHM: Final = "RS256"


@dataclass(frozen=True)
class TokenRequest:
    """Wanted contents of a token. ``life`` counts from now."""

    user: str
    life: timedelta
    issuer: str = "berth"
    audience: str = "berth"
    superuser: bool = False
    scope: tuple[str, ...] = ()
    instance: str | None = None
    types: tuple[str, ...] = ()
    organisation: str | None = None
    expire_d: int | None = None


def check_user(user: str) -> None:
    """Raise ValueError unless the text is a user's name."""
    if not 0 < len(user) <= LONGEST_USER or not user.isprintable():
        raise ValueError(f"a user's name has 1 to {LONGEST_USER} printable characters")


def check(request: TokenRequest) -> None:
    """Raise ValueError where the API would refuse the token."""
    check_user(request.user)
    if request.life > LONGEST_LIFE:
        raise ValueError(f"a token lives at most {LONGEST_LIFE.days} days; make another one then")
    if request.instance is not None and not ids.is_uuid(request.instance):
        raise ValueError(f"{request.instance!r} is no instance id: take it from `berth status` or GET /instances")
    if request.expire_d is not None and request.expire_d < 1:
        raise ValueError("--expire-d is a number of seconds, 1 or more")
    if wrong := [name for name in request.types if not _TYPE.fullmatch(name)]:
        raise ValueError(f"{wrong[0]!r} is no workspace type: a type's name has letters, digits and _ only")
    if len(request.types) > MOST_TYPES:
        raise ValueError(f"a token names at most {MOST_TYPES} types; without --type it works for all")


def claims(request: TokenRequest, now: datetime) -> dict[str, Any]:
    """Return the claims (RFC 7519, and Berth's own). Raises ValueError where the API would refuse them."""
    check(request)
    issued = int(now.timestamp())
    result: dict[str, Any] = {
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
        "opt": {"expire_d": request.expire_d} if request.expire_d is not None else None,
    }
    return result | {name: value for name, value in optional.items() if value is not None}


def sign(payload: dict[str, Any], *, kid: str, pem: bytes) -> str:
    """Sign claims with a private RSA key (PEM)."""
    return jwt.encode(payload, pem, algorithm=ALGORITHM, headers={"kid": kid})


def record(request: TokenRequest, payload: dict[str, Any], token: str) -> IssuedTokenSpec:
    """Return the record of a token: user, rights and times, never the token itself."""
    return IssuedTokenSpec(
        sha256=digest(token),
        user=request.user,
        issued=_time(payload["iat"]),
        expires=_time(payload["exp"]),
        superuser=request.superuser,
        read_only=bool(request.scope) and WRITE_SCOPE not in request.scope,
        own=OWN_SCOPE in request.scope,
        instance=request.instance,
        types=list(request.types),
    )


def _time(seconds: int) -> str:
    return timestamp(datetime.fromtimestamp(seconds, UTC))


def digest(token: str) -> str:
    """SHA-256 of a token, hex, by which it is revoked and named in logs."""
    return hashlib.sha256(token.encode("ascii")).hexdigest()
