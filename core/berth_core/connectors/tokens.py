"""Tokens by which a host is enrolled: one use, an hour, bound to the Connector's uid. Pure but for the random part."""

import hashlib
import secrets
from datetime import timedelta
from typing import Final

LIFE: Final = timedelta(hours=1)
_BYTES: Final = 32
LONGEST: Final = 256


def new(uid: str) -> str:
    """Make a token for the Connector with this uid."""
    return f"{uid}.{secrets.token_urlsafe(_BYTES)}"


def uid_of(token: str) -> str | None:
    """Return the uid of the Connector that a token is for; None where it is none."""
    uid, dot, secret = token.partition(".")
    return uid if dot and uid and secret and len(token) <= LONGEST else None


def digest(token: str) -> str:
    """Return what a Connector keeps of its token: the SHA-256, hex."""
    return hashlib.sha256(token.encode()).hexdigest()
