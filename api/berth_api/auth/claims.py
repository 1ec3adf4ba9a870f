"""From a token's claims to an identity. Pure; a claim of a wrong form refuses the token."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from berth_api.auth.identity import Identity
from berth_core import ids

CLOCK_SKEW: Final = 5
"""Seconds that the clock of the token's maker may be ahead of ours."""
LONGEST_USER: Final = 253
WRITE_SCOPE: Final = "rw"
OWN_SCOPE: Final = "own"
"""Lets a token register, change and retire machines of its user's."""


class ClaimError(Exception):
    """The token does not count; the message says why, for the log."""


@dataclass(frozen=True)
class Issuer:
    """An issuer whose tokens count. One issuer's keys never vouch for another's tokens.

    All claims of Berth's own tokens (``user_prefix`` None) count. A provider's token only names its user, as
    ``user_prefix`` and ``sub``. Berth's own tokens are refused where ``sub`` begins with ``foreign_prefix``, so
    that nobody else can have such a name.
    """

    name: str
    """``iss``"""
    audience: str
    longest_life: int
    """Seconds that ``exp`` may lie ahead."""
    user_prefix: str | None = None
    foreign_prefix: str | None = None


def identity(claims: Mapping[str, Any], issuer: Issuer, *, digest: str, now: float) -> Identity:
    """Check the claims of a token whose signature holds. ``now`` is in seconds since the Epoch. Raises ClaimError."""
    if claims.get("iss") != issuer.name:
        raise ClaimError("another issuer")
    if issuer.audience not in _audiences(claims):
        raise ClaimError("another audience")
    expires = _time(claims, "exp")
    if expires is None or not now < expires <= now + issuer.longest_life + CLOCK_SKEW:
        raise ClaimError("expired, without end, or too long")
    issued = _time(claims, "iat")
    if max(_time(claims, "nbf") or 0, issued or 0) > now + CLOCK_SKEW:
        raise ClaimError("not valid yet")
    user = _user(claims, issuer)
    if issuer.user_prefix is not None:
        return Identity(user=user, digest=digest, expires=expires, issued=issued)
    return Identity(
        user=user,
        digest=digest,
        expires=expires,
        issued=issued,
        superuser=_optional(claims, "su", bool) is True,
        organisation=_optional(claims, "org", str),
        instance=_instance(claims),
        read_only="sc" in claims and WRITE_SCOPE not in _strings(claims, "sc"),
        may_own="sc" not in claims or OWN_SCOPE in _strings(claims, "sc"),
        types=frozenset(_strings(claims, "wt")) if "wt" in claims else None,
        expire_d=_expire_d(claims),
    )


def _user(claims: Mapping[str, Any], issuer: Issuer) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise ClaimError("no user")
    if issuer.foreign_prefix is not None and subject.startswith(issuer.foreign_prefix):
        raise ClaimError(f"users with {issuer.foreign_prefix} are the provider's")
    user = (issuer.user_prefix or "") + subject
    if len(user) > LONGEST_USER or not user.isprintable():
        raise ClaimError("no name for a user")
    return user


def _audiences(claims: Mapping[str, Any]) -> list[str]:
    value: Any = claims.get("aud")
    audiences: list[Any] = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in audiences):
        raise ClaimError("aud is neither text nor a list of texts")
    return audiences


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ClaimError(f"{name} is no time")
    return float(value)


def _optional(claims: Mapping[str, Any], name: str, kind: type) -> Any:
    value = claims.get(name)
    if name in claims and not isinstance(value, kind):
        raise ClaimError(f"{name} has a wrong form")
    return value


def _instance(claims: Mapping[str, Any]) -> str | None:
    value: str | None = _optional(claims, "in", str)
    if value is None:
        return None
    # Ids in paths and bodies may be in upper case as well.
    if not ids.is_uuid(value.lower()):
        raise ClaimError("in is no id")
    return value.lower()


def _strings(claims: Mapping[str, Any], name: str) -> list[str]:
    value = claims[name]
    if isinstance(value, str):
        return value.split()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ClaimError(f"{name} is no list")
    return value


def _expire_d(claims: Mapping[str, Any]) -> int | None:
    options = _optional(claims, "opt", dict) or {}
    if "expire_d" not in options:
        return None
    value = options["expire_d"]
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ClaimError("opt.expire_d is no number of seconds")
    return value
