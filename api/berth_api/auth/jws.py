"""The form of a token (RFC 7515, RFC 8725), before any key is looked at. Pure.

Features of the specifications that Berth does not need are refused, since another program could understand them
differently.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import orjson

LONGEST_TOKEN: Final = 8192
"""Characters; beyond that a token is not even looked at."""
ALGORITHM: Final = "RS256"
TYPES: Final = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
"""Values of ``typ``, in any case of letters; it may also be absent. Signed objects of other types are no tokens."""
REFUSED: Final = frozenset({"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc", "cty"})
"""Header parameters that bring a key along, ask for unsupported features, or mark a payload that is no claims."""
_FORM: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Unverified:
    """Contents of a token whose signature is not verified yet."""

    kid: str
    claims: Mapping[str, Any]

    @classmethod
    def read(cls, token: str) -> Self:
        """Take a token apart. ValueError where it does not have the form of Berth's and providers' tokens."""
        header, payload, _ = (decode_part(part) for part in token.split("."))
        parameters, claims = parse_object(header), parse_object(payload)
        if parameters.get("alg") != ALGORITHM:
            raise ValueError(f"alg is not {ALGORITHM}")
        if refused := REFUSED & parameters.keys():
            raise ValueError(f"header parameters that are not for tokens: {', '.join(sorted(refused))}")
        typ = parameters.get("typ", "JWT")
        if not isinstance(typ, str) or typ.lower() not in TYPES:
            raise ValueError("typ is not of a token")
        kid = parameters.get("kid")
        if not isinstance(kid, str) or not kid:
            raise ValueError("no kid")
        return cls(kid, claims)


def has_form(token: str) -> bool:
    """Whether a text looks like a token at all, and is not too long."""
    return len(token) <= LONGEST_TOKEN and _FORM.fullmatch(token) is not None


def decode_part(part: str) -> bytes:
    """Decode base64url without padding; ValueError unless the text is the one spelling of what it decodes to.

    The last character of a part can hold bits that decoding drops: with another spelling the same token would
    have another SHA-256 and so escape its revocation.
    """
    try:
        data = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != part:
        raise ValueError("not the canonical spelling")
    return data


def parse_object(data: bytes) -> dict[str, Any]:
    """Read a JSON object in which no name stands twice, at any depth. ValueError where it is none."""
    # orjson refuses what RFC 8259 does (NaN, a byte order mark, lone surrogates, endless numbers, endless nesting)
    # but takes the last of equal names, where others take the first.
    value = orjson.loads(data)
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    try:
        json.loads(data.decode(), object_pairs_hook=_distinct)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice")
    return members
