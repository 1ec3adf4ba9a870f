"""Keys that an installation needs: those that sign tokens and webhooks, and the CA of the agents. No I/O."""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from berth_core import names

RSA_BITS: Final = 2048
MASTER_BYTES: Final = 32
CA_LIFE: Final = timedelta(days=3650)
BACKDATED: Final = timedelta(minutes=10)
"""How far clocks of nodes may lag behind ours."""


@dataclass(frozen=True)
class Authority:
    """A self-signed CA: certificate and private key, PEM."""

    certificate: bytes
    key: bytes


def new_signing_key() -> tuple[str, bytes]:
    """Make a key for RS256. Returns its kid (the JWK thumbprint, RFC 7638) and the private key as PEM (PKCS#8).

    The kid never begins with `-`, which the command line would take for an option.
    """
    while True:
        key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        kid = thumbprint(key.public_key())
        if not kid.startswith("-"):
            return kid, _pem(key)


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
    known = list(published.get("keys", []))
    kids = {key.get("kid") for key in known}
    return {"keys": [*known, *(jwk(pem, kid) for kid, pem in sorted(own.items()) if kid not in kids)]}


def new_authority(now: datetime) -> Authority:
    """Make a CA (EC P-256) that signs leaf certificates only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "berth agents")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_SIGNS_CERTIFICATES, critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))


def new_webhook_keys() -> dict[str, bytes]:
    """Make the keys for webhooks (``core.keys.webhooks``) as their Secret holds them: Ed25519, 32 random bytes."""
    return {
        names.WEBHOOK_PRIVATE_KEY: _pem(Ed25519PrivateKey.generate()),
        names.WEBHOOK_MASTER: secrets.token_bytes(MASTER_BYTES),
    }


def _numbers(key: rsa.RSAPublicKey) -> dict[str, str]:
    numbers = key.public_numbers()
    return {"n": _base64url(_octets(numbers.n)), "e": _base64url(_octets(numbers.e))}


def _octets(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


_SIGNS_CERTIFICATES: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
