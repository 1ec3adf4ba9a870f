"""Verification of tokens: RS256, keys from the cluster only, nothing but the canonical spelling."""

import base64
import binascii
import hashlib
import re
from collections import OrderedDict
from typing import Any, Final

import jwt
import orjson
import structlog

from berth_api.auth import claims
from berth_api.auth.identity import Identity
from berth_api.auth.jwks import KeyFile, Keys
from berth_api.errors import AwayError, WrongTokenError

log = structlog.get_logger(__name__)

LONGEST_TOKEN: Final = 8192
"""Characters; beyond that a token is not even looked at."""
CACHED: Final = 4096
"""Verified tokens that are remembered."""
ALGORITHM: Final = "RS256"
_FORM: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_FOREIGN_KEYS: Final = frozenset({"jwk", "jku", "x5u", "x5c", "crit"})
"""Header parameters (RFC 7515, section 4.1) that would bring a key along, or ask for what is not known here."""


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


class TokenVerifier:
    """Turns tokens into identities, and remembers those that it verified."""

    def __init__(self, keys: KeyFile, *, issuer: str, audience: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._jws = jwt.PyJWS(algorithms=[ALGORITHM])
        self._verified: OrderedDict[str, Identity] = OrderedDict()
        self._verified_with: Keys = {}

    def is_ready(self, monotonic_now: float) -> bool:
        """Whether there is a key to verify with."""
        return bool(self._keys.current(monotonic_now))

    def verify(self, token: str, *, now: float, monotonic_now: float) -> Identity:
        """Return who the token speaks for. ``now`` is in seconds since the Epoch.

        Raises:
            WrongTokenError: it does not count.
            AwayError: there are no keys to verify with.

        """
        if len(token) > LONGEST_TOKEN or not _FORM.fullmatch(token):
            raise WrongTokenError
        keys = self._keys.current(monotonic_now)
        if not keys:
            raise AwayError("tokens cannot be verified yet. Try again later.", retry_after=5)
        if keys is not self._verified_with:
            self._verified.clear()
            self._verified_with = keys
        digest = hashlib.sha256(token.encode()).hexdigest()
        known = self._verified.get(digest)
        if known is None:
            known = self._verified[digest] = self._verify(token, keys, digest, now)
            if len(self._verified) > CACHED:
                self._verified.popitem(last=False)
        elif known.expires <= now:
            del self._verified[digest]
            raise WrongTokenError
        return known

    def _verify(self, token: str, keys: Keys, digest: str, now: float) -> Identity:
        try:
            header, payload, _ = (decode_part(part) for part in token.split("."))
            key = keys.get(self._kid(orjson.loads(header)))
            parsed = orjson.loads(payload)
            if key is None or not isinstance(parsed, dict):
                raise claims.ClaimError("no key of ours, or no claims")
            self._jws.decode(token, key, algorithms=[ALGORITHM])
            return claims.identity(parsed, issuer=self._issuer, audience=self._audience, digest=digest, now=now)
        except (ValueError, jwt.InvalidTokenError, claims.ClaimError) as error:
            log.info("token refused", token_sha256=digest, reason=str(error))
            raise WrongTokenError from error

    def _kid(self, header: Any) -> str:
        if not isinstance(header, dict) or header.get("alg") != ALGORITHM or _FOREIGN_KEYS & header.keys():
            raise claims.ClaimError("another algorithm, or a key of its own")
        kid = header.get("kid")
        if not isinstance(kid, str):
            raise claims.ClaimError("no kid")
        return kid
