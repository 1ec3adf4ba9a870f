"""Verification keys from a mounted file, read again when it changes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jwt
import orjson
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm

log = structlog.get_logger(__name__)

LOOK_EVERY: Final = 1.0
"""Seconds between looks at the file."""
LEAST_BITS: Final = 2048

Keys = Mapping[str, RSAPublicKey]


def parse(data: bytes) -> Keys:
    """Read a JWK set (RFC 7517): the RSA keys for RS256 signatures, by kid. ValueError where it is none.

    Keys of other kinds, uses and algorithms are passed over. Private ones, short ones, and two of one kid are
    refused, since a file that holds them was made by mistake.
    """
    pairs = [key for key in map(_key, _entries(data)) if key is not None]
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise ValueError("two keys have the same kid")
    return keys


def parse_published(data: bytes) -> Keys:
    """Read the JWK set of a provider: keys that cannot be used are passed over. ValueError where it is no set.

    Keys that share a kid do not count, since a token does not tell which one it means.
    """
    by_kid: dict[str, list[RSAPublicKey]] = {}
    for jwk in _entries(data):
        try:
            key = _key(jwk)
        except ValueError as error:
            log.warning("key of the provider passed over", reason=str(error))
            continue
        if key is not None:
            by_kid.setdefault(key[0], []).append(key[1])
    return {kid: keys[0] for kid, keys in by_kid.items() if len(keys) == 1}


def _entries(data: bytes) -> list[Any]:
    parsed = orjson.loads(data)
    entries = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(entries, list):
        raise ValueError("not a JWK set")
    return entries


def _key(jwk: Any) -> tuple[str, RSAPublicKey] | None:
    if not isinstance(jwk, dict) or jwk.get("kty") != "RSA":
        return None
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", "RS256") != "RS256":
        return None
    kid = jwk.get("kid")
    if not isinstance(kid, str) or not kid:
        raise ValueError("a key without kid")
    if "d" in jwk:
        raise ValueError(f"key {kid} is a private key: publish its public half only")
    numbers = {name: jwk.get(name) for name in ("n", "e")}
    if not all(isinstance(number, str) for number in numbers.values()):
        raise ValueError(f"key {kid} lacks n or e")
    try:
        key = RSAAlgorithm.from_jwk({"kty": "RSA"} | numbers)
    except jwt.InvalidKeyError as error:
        raise ValueError(f"key {kid} is damaged") from error
    if not isinstance(key, RSAPublicKey):
        raise ValueError(f"key {kid} is no public key")
    if key.key_size < LEAST_BITS:
        raise ValueError(f"key {kid} has fewer than {LEAST_BITS} bits")
    return kid, key


class KeyFile:
    """Keys of a file. A change is seen within :data:`LOOK_EVERY` seconds; with a broken file the former keys stay."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, ...] | None = None
        self._looked_at = float("-inf")
        self._keys: Keys = {}

    def current(self, monotonic_now: float) -> Keys:
        """Return the keys, the same object for as long as they are the same; empty when none could be read yet."""
        if monotonic_now - self._looked_at >= LOOK_EVERY:
            self._looked_at = monotonic_now
            self._look()
        return self._keys

    def _look(self) -> None:
        try:
            stat = self._path.stat()
            version = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if version == self._version:
                return
            self._keys = parse(self._path.read_bytes())
        except (OSError, ValueError) as error:
            log.error(
                "verification keys cannot be read, the keys before stay: correct the file",
                path=str(self._path),
                error=str(error),
            )
            return
        self._version = version
        log.info("verification keys read", kids=sorted(self._keys))
