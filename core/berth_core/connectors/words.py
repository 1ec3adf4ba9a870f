"""The operator's words to connectors: JSON Web Tokens with RS256, which the connector's own reader verifies. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from berth_core.connectors import trust

AUDIENCE: Final = "berth-connector"
Does = Literal["open", "begun", "ended"]


@dataclass(frozen=True)
class Word:
    """A word whose signature counts."""

    connector: str
    """Uid of the Connector."""
    does: Does
    deployment: str
    epoch: int


class Signer:
    """Signs words. Raises ValueError where the key (PEM) is no RSA key."""

    def __init__(self, key: bytes) -> None:
        private = serialization.load_pem_private_key(key, password=None)
        if not isinstance(private, rsa.RSAPrivateKey):
            raise ValueError("the key of the words is no RSA key")
        self._key = private
        self._id = trust.key_id(private.public_key())

    def sign(self, does: Does, connector: str, deployment: str, epoch: int, targets: Sequence[str] = ()) -> str:
        """Say to a connector (uid) what holds for an epoch of a deployment (uid). The same word has the same text."""
        claims: dict[str, Any] = {
            "aud": AUDIENCE,
            "connector": connector,
            "do": does,
            "sub": deployment,
            "epoch": epoch,
            **({"targets": list(targets)} if does == "open" else {}),
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._id})


def read(text: str, keys: Mapping[str, Mapping[str, Any]]) -> Word:
    """Verify a word by the keys of a document of trust. Raises ValueError."""
    try:
        key = keys.get(str(jwt.get_unverified_header(text).get("kid")))
        if key is None:
            raise ValueError("the word is signed by a key that is not known")
        claims = jwt.decode(text, jwt.PyJWK(dict(key)), algorithms=["RS256"], audience=AUDIENCE)
        return Word(str(claims["connector"]), claims["do"], str(claims["sub"]), int(claims["epoch"]))
    except (jwt.PyJWTError, KeyError, TypeError) as error:
        raise ValueError(f"the word does not count: {error}") from error
