"""Keys that an installation needs: those that sign tokens and webhooks, and the CA of the agents. No I/O."""

import base64
import hashlib
import json
import secrets
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from berth_core import names
from berth_core.pki import Authority, KeyPair, pem

RSA_BITS: Final = 2048
MASTER_BYTES: Final = 32
CA_LIFE: Final = timedelta(days=3650)


def new_signing_key() -> tuple[str, bytes]:
    """Make a key for RS256. Returns its kid (the JWK thumbprint, RFC 7638) and the private key as PEM (PKCS#8).

    The kid never begins with `-`, which the command line would take for an option.
    """
    while True:
        key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        kid = thumbprint(key.public_key())
        if not kid.startswith("-"):
            return kid, pem(key)


def jwk(pem: bytes, kid: str) -> dict[str, str]:
    """Public half of a private key (PEM) as a JWK (RFC 7517). Raises ValueError where it is no RSA key."""
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"key {kid} is no RSA key")
    return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, **_numbers(key.public_key())}


def thumbprint(key: rsa.RSAPublicKey) -> str:
    """JWK thumbprint (RFC 7638) with SHA-256, base64url without padding."""
    canonical = json.dumps({"kty": "RSA", **_numbers(key)}, sort_keys=True, separators=(",", ":"))
    return _base64url(hashlib.sha256(canonical.encode()).digest())


def merged_jwks(published: dict[str, Any], own: dict[str, bytes]) -> dict[str, Any]:
    """JWK set of the published keys, and of the missing public halves of our keys (kid to PEM)."""
    keys = list(published.get("keys", []))
    kids = {key.get("kid") for key in keys}
    return {"keys": [*keys, *(jwk(pem, kid) for kid, pem in sorted(own.items()) if kid not in kids)]}


def new_authority(now: datetime) -> KeyPair:
    """Make the CA of the agents."""
    return Authority.new("berth agents", now, CA_LIFE).pair


def new_webhook_keys() -> dict[str, bytes]:
    """Make the keys for webhooks (``core.keys.webhooks``) as their Secret holds them: Ed25519, 32 random bytes."""
    return {
        names.WEBHOOK_PRIVATE_KEY: pem(Ed25519PrivateKey.generate()),
        names.WEBHOOK_MASTER: secrets.token_bytes(MASTER_BYTES),
    }


def _numbers(key: rsa.RSAPublicKey) -> dict[str, str]:
    numbers = key.public_numbers()
    return {"n": _base64url(_octets(numbers.n)), "e": _base64url(_octets(numbers.e))}


def _octets(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
