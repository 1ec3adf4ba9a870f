"""Signatures by the Standard Webhooks specification: symmetric with the user's secret, asymmetric with our key."""

import base64
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self

from standardwebhooks import Webhook

from berth_core import names
from berth_core.keys import webhooks


@dataclass(frozen=True)
class Keys:
    """The signing keys; both halves are never shown."""

    pem: bytes = field(repr=False)
    master: bytes = field(repr=False)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the mounted Secret. Raises OSError, or ValueError where a key is none."""
        keys = cls((folder / names.WEBHOOK_PRIVATE_KEY).read_bytes(), (folder / names.WEBHOOK_MASTER).read_bytes())
        webhooks.private_key(keys.pem)
        if not keys.master:
            raise ValueError(f"{names.WEBHOOK_MASTER} is empty")
        return keys


def headers(keys: Keys, *, message: str, user: str, payload: str, now: datetime) -> dict[str, str]:
    """Return the headers of one attempt. ``message`` is the webhook's id; ``now`` is in UTC."""
    seconds = int(now.timestamp())
    symmetric = Webhook(webhooks.user_secret(keys.master, user)).sign(message, now, payload)
    signed = webhooks.private_key(keys.pem).sign(f"{message}.{seconds}.{payload}".encode())
    return {
        "webhook-id": message,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"{symmetric} v1a,{base64.b64encode(signed).decode('ascii')}",
    }
