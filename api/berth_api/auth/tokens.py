"""Verification of tokens: RS256, keys from the cluster or the provider only, nothing but the canonical spelling."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import jwt
import structlog

from berth_api.auth import claims
from berth_api.auth.claims import Issuer
from berth_api.auth.identity import Identity
from berth_api.auth.jwks import KeyFile, Keys
from berth_api.auth.jws import ALGORITHM, Unverified, has_form
from berth_api.auth.oidc import ProviderKeys
from berth_api.config import Config
from berth_api.http.errors import AwayError, WrongTokenError

log = structlog.get_logger(__name__)

CACHED: Final = 4096
"""Verified tokens that are remembered, the last used ones."""
_NO_KEYS: Final[Keys] = {}


@dataclass(frozen=True)
class Trusted:
    """A provider: the demands on its tokens, and its keys."""

    issuer: Issuer
    keys: ProviderKeys


class TokenVerifier:
    """Turns tokens into identities, and remembers those that it verified.

    A token is verified with the keys of the issuer that it names, and no other's, whatever its ``kid``.
    """

    def __init__(self, keys: KeyFile, issuer: Issuer, provider: Trusted | None = None) -> None:
        self._keys = keys
        self._issuer = issuer
        self._provider = provider
        self._jws = jwt.PyJWS(algorithms=[ALGORITHM])
        self._verified: OrderedDict[str, Identity] = OrderedDict()
        self._verified_with: tuple[Keys, Keys] = (_NO_KEYS, _NO_KEYS)

    def is_ready(self, monotonic_now: float) -> bool:
        """Whether there is a key of Berth's own to verify with. The provider's may come later."""
        return bool(self._keys.current(monotonic_now))

    def verify(self, token: str, *, now: float, monotonic_now: float) -> Identity:
        """Return the identity that the token proves. ``now`` is in seconds since the Epoch.

        Raises:
            WrongTokenError: it does not count.
            AwayError: there are no keys to verify with.

        """
        if not has_form(token):
            raise WrongTokenError
        own = self._keys.current(monotonic_now)
        foreign = self._provider.keys.current if self._provider is not None else _NO_KEYS
        if own is not self._verified_with[0] or foreign is not self._verified_with[1]:
            # Tokens of a removed key end at once.
            self._verified.clear()
            self._verified_with = (own, foreign)
        digest = hashlib.sha256(token.encode()).hexdigest()
        identity = self._verified.get(digest)
        if identity is None:
            identity = self._verified[digest] = self._verify(token, digest, now, monotonic_now)
            if len(self._verified) > CACHED:
                self._verified.popitem(last=False)
        elif identity.expires <= now:
            del self._verified[digest]
            raise WrongTokenError
        else:
            self._verified.move_to_end(digest)
        return identity

    def _verify(self, token: str, digest: str, now: float, monotonic_now: float) -> Identity:
        own, foreign = self._verified_with
        try:
            unverified = Unverified.read(token)
            if self._provider is not None and unverified.claims.get("iss") == self._provider.issuer.name:
                issuer, keys = self._provider.issuer, foreign
                if unverified.kid not in keys and self._provider.keys.are_coming(monotonic_now):
                    raise AwayError("the provider's keys are being read. Try again.", retry_after=2)
            else:
                issuer, keys = self._issuer, own
                if not keys:
                    raise AwayError("tokens cannot be verified yet. Try again later.", retry_after=5)
            key = keys.get(unverified.kid)
            if key is None:
                raise claims.ClaimError("no key of that issuer")
            self._jws.decode(token, key, algorithms=[ALGORITHM])
            return claims.identity(unverified.claims, issuer, digest=digest, now=now)
        except (ValueError, jwt.InvalidTokenError, claims.ClaimError) as error:
            log.info("token refused", token_sha256=digest, reason=str(error))
            raise WrongTokenError from error


def make_verifier(config: Config, provider: ProviderKeys | None) -> TokenVerifier:
    """Make the verifier that the configuration asks for; ``provider`` where it has one."""
    life = config.longest_token_life
    foreign = config.provider.user_prefix if config.provider is not None else None
    own = Issuer(config.token_issuer, config.token_audience, life, foreign_prefix=foreign)
    trusted = None
    if provider is not None:
        about = provider.provider
        trusted = Trusted(Issuer(about.issuer, about.audience, life, user_prefix=about.user_prefix), provider)
    return TokenVerifier(KeyFile(config.jwks_file), own, trusted)
