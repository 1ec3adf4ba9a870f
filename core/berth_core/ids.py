"""Public ids: opaque UUIDs that survive backup and restore where possible."""

import hashlib
import re
import secrets
import uuid
from datetime import UTC, datetime
from typing import Final

DEPLOYMENT_NAMESPACE: Final = uuid.UUID("5b3f1a57-0a53-4c39-9d8e-8c1f6d2b7e10")
"""Namespace (RFC 9562, section 5.5) of the ids of deployments that were made with kubectl."""
TURN_NAMESPACE: Final = uuid.UUID("c0d4c8a6-8a5e-4d0c-9a55-0f6f3c1d7b42")
"""Namespace (RFC 9562, section 5.5) of the ids of instances that are made when a reservation's turn comes."""

_PLAIN_USER: Final = re.compile(r"(?!u-)[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def uuid7_at(moment: datetime) -> str:
    """Return a UUIDv7 for a time of the store; other processes read this time."""
    return uuid7(int(moment.timestamp() * 1000))


def time_of(text: str) -> datetime | None:
    """Return the time in a UUIDv7 in its canonical form; None for other texts."""
    if not is_uuid(text) or uuid.UUID(text).version != 7:
        return None
    return datetime.fromtimestamp((uuid.UUID(text).int >> 80) / 1000, UTC)


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


def is_drawn(text: str) -> bool:
    """Tell whether Berth made the id itself (UUIDv7 or UUIDv5), so that it is the name of its object.

    The uid that an API server gives is a UUIDv4.

    >>> is_drawn(uuid7(0)), is_drawn(turn_instance("a uid")), is_drawn(str(uuid.uuid4()))
    (True, True, False)
    """
    return is_uuid(text) and uuid.UUID(text).version in (5, 7)


def deployment_id(namespace: str, name: str) -> str:
    """Public id of a deployment: its name where that is a UUID, else the UUIDv5 of ``namespace/name``."""
    return name if is_uuid(name) else str(uuid.uuid5(DEPLOYMENT_NAMESPACE, f"{namespace}/{name}"))


def instance_id(name: str, uid: str) -> str:
    """Public id of an instance or reservation: its name where that is a UUID (made by the API), else its uid."""
    return name if is_uuid(name) else uid


def turn_instance(reservation_uid: str) -> str:
    """Public id of the instance that a reservation (its uid) gets: always the same, so that a turn can be repeated."""
    return str(uuid.uuid5(TURN_NAMESPACE, reservation_uid))


def user_object(user: str) -> str:
    """Name of a user's Account: the user's own where a Kubernetes object can have it, else a hash of it.

    >>> user_object("alice"), user_object("Alice")[:6]
    ('alice', 'u-3bc5')
    """
    return user if _PLAIN_USER.fullmatch(user) else "u-" + hashlib.sha256(user.encode()).hexdigest()[:40]


def revocation(sha256: str, user: str | None) -> str:
    """Name of a TokenRevocation: one for each token and user, so that repeating it is safe; None for anyone's."""
    return sha256 if user is None else f"{sha256}-{hashlib.sha256(user.encode()).hexdigest()[:16]}"
