"""From a token's claims to an identity. Pure; a claim of a wrong form refuses the token."""

from collections.abc import Mapping
from typing import Any, Final

from berth_api.auth.identity import Identity
from berth_core import ids

LONGEST_LIFE: Final = 366 * 24 * 3600
"""Seconds that ``exp`` may lie ahead."""
CLOCK_SKEW: Final = 5
"""Seconds that the clock of who made the token may be ahead of ours."""
LONGEST_USER: Final = 253
WRITE_SCOPE: Final = "rw"


class ClaimError(Exception):
    """The token does not count; the message says why, for the log."""


def identity(claims: Mapping[str, Any], *, issuer: str, audience: str, digest: str, now: float) -> Identity:
    """Check the claims of a token whose signature holds. Raises ClaimError."""
    if claims.get("iss") != issuer:
        raise ClaimError("another issuer")
    if audience not in _audiences(claims.get("aud")):
        raise ClaimError("another audience")
    expires = _time(claims, "exp")
    if expires is None or not now < expires <= now + LONGEST_LIFE + CLOCK_SKEW:
        raise ClaimError("expired, without end, or too long")
    issued = _time(claims, "iat")
    if max(_time(claims, "nbf") or 0, issued or 0) > now + CLOCK_SKEW:
        raise ClaimError("not valid yet")
    user = claims.get("sub")
    if not isinstance(user, str) or not 0 < len(user) <= LONGEST_USER or not user.isprintable():
        raise ClaimError("no user")
    return Identity(
        user=user,
        digest=digest,
        expires=expires,
        issued=issued,
        superuser=_superuser(claims),
        organisation=_optional(claims, "org", str),
        instance=_instance(claims),
        read_only="sc" in claims and WRITE_SCOPE not in _strings(claims, "sc"),
        types=frozenset(_strings(claims, "wt")) if "wt" in claims else None,
        expire_d=_expire_d(claims),
    )


def _audiences(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ClaimError(f"{name} is no time")
    return float(value)


def _optional(claims: Mapping[str, Any], name: str, kind: type) -> Any:
    value = claims.get(name)
    if name in claims and not isinstance(value, kind):
        raise ClaimError(f"{name} has a wrong form")
    return value


def _superuser(claims: Mapping[str, Any]) -> bool:
    return _optional(claims, "su", bool) is True


def _instance(claims: Mapping[str, Any]) -> str | None:
    value = _optional(claims, "in", str)
    if value is not None and not ids.is_uuid(value):
        raise ClaimError("in is no id")
    return value if value is None else str(value)


def _strings(claims: Mapping[str, Any], name: str) -> list[str]:
    value = claims[name]
    if isinstance(value, str):
        return value.split()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ClaimError(f"{name} is no list")
    return value


def _expire_d(claims: Mapping[str, Any]) -> int | None:
    value = (_optional(claims, "opt", dict) or {}).get("expire_d")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ClaimError("opt.expire_d is no number of seconds")
    return value
