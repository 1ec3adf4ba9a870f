"""Public ids: opaque UUIDs that outlive backup and restore where they can."""

import secrets
import uuid
from typing import Final

DEPLOYMENT_NAMESPACE: Final = uuid.UUID("5b3f1a57-0a53-4c39-9d8e-8c1f6d2b7e10")
"""Namespace (RFC 9562, section 5.5) of the ids of deployments that were made with kubectl."""


def uuid7(unix_ms: int) -> str:
    """Return a UUIDv7 (RFC 9562, section 5.7) for a time in milliseconds since the Epoch.

    >>> uuid7(0)[14]
    '7'
    """
    value = (unix_ms & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def is_uuid(text: str) -> bool:
    """Tell whether the text is a UUID in its canonical lower-case form."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def deployment_id(namespace: str, name: str) -> str:
    """Public id of a deployment: its name where that is a UUID, else the UUIDv5 of ``namespace/name``."""
    return name if is_uuid(name) else str(uuid.uuid5(DEPLOYMENT_NAMESPACE, f"{namespace}/{name}"))


def instance_id(name: str, uid: str) -> str:
    """Public id of an instance or reservation: its name where that is a UUID (made by the API), else its uid."""
    return name if is_uuid(name) else uid
