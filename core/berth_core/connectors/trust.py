"""The document that hosts trust: the authority of the hub's certificates, and the keys of words. Pure."""

import base64
import hashlib
import json
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


def document(authority: str, words_key: bytes) -> str:
    """Make the document from the authority's certificate and the private key of the words (both PEM)."""
    return json.dumps({"authority": authority, "keys": [jwk(words_key)]}, sort_keys=True)


def pin(text: str) -> str:
    """Return what the command for a host says of the document."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def keys(text: str) -> dict[str, dict[str, Any]]:
    """Return the keys of words by their ids. Raises ValueError where the document is damaged."""
    try:
        return {str(key["kid"]): key for key in json.loads(text)["keys"]}
    except (KeyError, TypeError) as error:
        raise ValueError("the document of trust has no keys") from error


def authority(text: str) -> str:
    """Return the authority's certificate, PEM. Raises ValueError where the document is damaged."""
    try:
        return str(json.loads(text)["authority"])
    except (KeyError, TypeError) as error:
        raise ValueError("the document of trust has no authority") from error


def key_id(key: rsa.RSAPublicKey) -> str:
    """Return the id of a key: the beginning of the SHA-256 of its DER."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()[:16]


def jwk(pem: bytes) -> dict[str, str]:
    """Return the public half of a private key. Raises ValueError where it is no RSA key."""
    private = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise ValueError("the key of the words is no RSA key")
    public = private.public_key()
    numbers = public.public_numbers()
    return {"kty": "RSA", "alg": "RS256", "kid": key_id(public), "n": _octets(numbers.n), "e": _octets(numbers.e)}


def _octets(number: int) -> str:
    octets = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")
