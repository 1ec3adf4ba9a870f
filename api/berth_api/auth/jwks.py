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

    Keys of other kinds, uses and algorithms are passed over; private ones are refused, since a file that holds
    one was made by mistake.
    """
    parsed = orjson.loads(data)
    listed = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(listed, list):
        raise ValueError("not a JWK set")
    return dict(key for key in map(_key, listed) if key is not None)


def _key(jwk: Any) -> tuple[str, RSAPublicKey] | None:
    if not isinstance(jwk, dict) or jwk.get("kty") != "RSA":
        return None
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", "RS256") != "RS256":
        return None
    kid = jwk.get("kid")
    if not isinstance(kid, str) or not kid:
        raise ValueError("a key without kid")
    try:
        key = RSAAlgorithm.from_jwk(jwk)
    except jwt.InvalidKeyError as error:
        raise ValueError(f"key {kid} is damaged") from error
    if not isinstance(key, RSAPublicKey):
        raise ValueError(f"key {kid} is a private key: publish its public half only")
    if key.key_size < LEAST_BITS:
        raise ValueError(f"key {kid} has fewer than {LEAST_BITS} bits")
    return kid, key


class KeyFile:
    """The keys of a file. A change is seen within :data:`LOOK_EVERY` seconds; a broken file leaves the keys before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] | None = None
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
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if seen == self._seen:
                return
            self._keys = parse(self._path.read_bytes())
        except (OSError, ValueError) as error:
            log.error("verification keys cannot be read", path=str(self._path), error=str(error))
            return
        self._seen = seen
        log.info("verification keys read", kids=sorted(self._keys))
