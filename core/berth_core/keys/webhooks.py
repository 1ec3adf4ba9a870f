"""Keys of webhooks in the forms of the Standard Webhooks specification. Pure.

An installation has one Ed25519 key, whose signatures anybody can verify with its public half, and one master secret,
from which each user's secret is derived. A user's own secret does not suffice to forge messages to other users.
"""

import base64
import hashlib
import hmac
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

DELIVERED: Final = "Delivered"
GIVEN_UP: Final = "GivenUp"
"""Conditions of a Delivery."""

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 (how secrets begin, not a secret)
PUBLIC_PREFIX: Final = "whpk_"
_PURPOSE: Final = b"berth webhook secret of "


def user_secret(master: bytes, user: str) -> str:
    """Return the secret that signs messages to a user (`whsec_…`), for symmetric signatures (`v1`)."""
    derived = hmac.new(master, _PURPOSE + user.encode(), hashlib.sha256).digest()
    return SECRET_PREFIX + base64.b64encode(derived).decode("ascii")


def private_key(pem: bytes) -> Ed25519PrivateKey:
    """Read the key for asymmetric signatures (`v1a`). Raises ValueError where it is no Ed25519 key."""
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("the key of webhooks is no Ed25519 key")
    return key


def public_key(pem: bytes) -> str:
    """Return the public half of a private key (`whpk_…`). Raises ValueError where it is no Ed25519 key."""
    public = private_key(pem).public_key()
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return PUBLIC_PREFIX + base64.b64encode(raw).decode("ascii")
