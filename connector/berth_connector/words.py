"""Words of the operator: JSON Web Tokens (RFC 7519) with RS256, verified by the standard library. Pure.

The standard library has no signatures. To verify one by RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2.2) takes a power and
a comparison of the whole encoded message: nothing is parsed that a forger could shape, and there is no secret that
time could betray. The hub passes these words on and cannot make one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

AUDIENCE: Final = "berth-connector"
MOST_BYTES: Final = 4096
LEAST_BITS: Final = 2048
MOST_BITS: Final = 4096
MOST_EPOCH: Final = 1 << 53
MOST_TARGETS: Final = 32
OPEN, BEGUN, ENDED = "open", "begun", "ended"
_EXPONENT: Final = 65537
_SHA256: Final = bytes.fromhex("3031300d060960864801650304020105000420")
"""DER of the DigestInfo for SHA-256 (RFC 8017, section 9.2)."""


class WordError(ValueError):
    """A word that does not count; the message says why."""


@dataclass(frozen=True)
class Word:
    """A statement of the operator about an epoch of a deployment."""

    does: str
    """``open``: streams of the epoch may pass; ``begun``: it has begun; ``ended``: it is over."""
    deployment: str
    """The deployment's uid."""
    epoch: int
    targets: tuple[str, ...] = ()
    """Where streams may go, as ``address:port``; of ``open`` only."""


def verify(text: str, keys: Mapping[str, int], connector: str) -> Word:
    """Read a word for one connector (uid). ``keys`` are moduli by key id. Raises WordError."""
    if len(text) > MOST_BYTES or not text.isascii():
        raise WordError("the word is too long, or no token")
    signed, _, signature = text.rpartition(".")
    head, dot, body = signed.partition(".")
    if not dot or "." in body:
        raise WordError("the word is no token of three parts")
    header = _object(head)
    if header.get("alg") != "RS256" or "crit" in header:
        raise WordError("only RS256 counts")
    modulus = keys.get(str(header.get("kid")))
    if modulus is None:
        raise WordError("the key that signed it is not known here: enrol this host anew if the operator's key changed")
    if not _signed(signed.encode(), _octets(signature), modulus):
        raise WordError("its signature is wrong")
    return _word(_object(body), connector)


def modulus(jwk: Mapping[str, Any]) -> int:
    """Return the modulus of a public key (RFC 7517). Raises WordError where it is none that may sign."""
    if jwk.get("kty") != "RSA" or int.from_bytes(_octets(str(jwk.get("e"))), "big") != _EXPONENT:
        raise WordError("the key is no RSA key with the exponent 65537")
    number = int.from_bytes(_octets(str(jwk.get("n"))), "big")
    if not LEAST_BITS <= number.bit_length() <= MOST_BITS:
        raise WordError(f"the key has {number.bit_length()} bits: it needs {LEAST_BITS} to {MOST_BITS}")
    return number


def _signed(message: bytes, signature: bytes, modulus: int) -> bool:
    size = (modulus.bit_length() + 7) // 8
    number = int.from_bytes(signature, "big")
    if len(signature) != size or number >= modulus:
        return False
    digest = _SHA256 + hashlib.sha256(message).digest()
    encoded = b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest
    return pow(number, _EXPONENT, modulus).to_bytes(size, "big") == encoded


def _word(claims: Mapping[str, Any], connector: str) -> Word:
    if claims.get("aud") != AUDIENCE or claims.get("connector") != connector:
        raise WordError("it is meant for another connector")
    does, deployment, epoch = claims.get("do"), claims.get("sub"), claims.get("epoch")
    if does not in (OPEN, BEGUN, ENDED):
        raise WordError("this version does not know what it asks for: install a newer connector")
    if not isinstance(deployment, str) or not 0 < len(deployment) <= 64:
        raise WordError("it names no deployment")
    if type(epoch) is not int or not 0 < epoch < MOST_EPOCH:
        raise WordError("it names no epoch")
    targets = claims.get("targets", [])
    if not isinstance(targets, list) or len(targets) > MOST_TARGETS or not all(isinstance(one, str) for one in targets):
        raise WordError("its targets cannot be read")
    return Word(does, deployment, epoch, tuple(targets))


def _object(part: str) -> Mapping[str, Any]:
    try:
        value = json.loads(_octets(part))
    except (ValueError, RecursionError) as error:
        raise WordError("a part of it is no JSON") from error
    if not isinstance(value, dict):
        raise WordError("a part of it is no object")
    return value


def _octets(text: str) -> bytes:
    """Decode base64url without padding. Of one value only one spelling counts."""
    try:
        octets = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise WordError("a part of it is no base64url") from error
    if base64.urlsafe_b64encode(octets).rstrip(b"=").decode() != text:
        raise WordError("a part of it is no base64url")
    return octets
