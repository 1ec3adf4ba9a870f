"""Tokens as `berth token create` makes them, and as forgers do."""

import base64
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm


@dataclass
class Signer:
    """A signing key with its kid."""

    kid: str = "one"
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    def jwk(self) -> dict[str, Any]:
        """The public half."""
        jwk: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(self.key.public_key()))
        return jwk | {"kid": self.kid, "use": "sig", "alg": "RS256"}

    def token(self, user: str | None = "alice", *, header: Any = None, **claims: Any) -> str:
        """A token; claims that are None are left out."""
        now = int(time.time())
        payload = {"sub": user, "iss": "berth", "aud": "berth", "iat": now, "exp": now + 3600} | claims
        payload = {name: value for name, value in payload.items() if value is not None}
        return jwt.encode(payload, self.key, algorithm="RS256", headers={"kid": self.kid} | (header or {}))


def write_keys(path: Path, *signers: Signer) -> None:
    """Write a JWK set, by renaming as a mounted ConfigMap changes."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"keys": [signer.jwk() for signer in signers]}))
    draft.rename(path)


def part(value: object) -> str:
    """A part of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
