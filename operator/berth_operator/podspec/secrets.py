"""Secrets of the pods of leases and of builds. Pure, but that keys are drawn."""

import base64
from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from berth_core import names
from berth_core.kube.types import Object


def opaque(metadata: Object, data: dict[str, bytes]) -> Object:
    """Manifest of a Secret that never changes."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "immutable": True,
        "data": {key: base64.b64encode(value).decode("ascii") for key, value in data.items()},
    }


@dataclass(frozen=True)
class HostKey:
    """An ed25519 host key: the private part as sshd reads it, the public part as an OpenSSH line."""

    private: bytes
    public: str


def new_host_key() -> HostKey:
    """Make a host key."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return HostKey(private, public.decode("ascii"))


def public_host_key(secret: Object) -> str:
    """Public line of the host key in a Secret as the API server gave it."""
    return base64.b64decode(secret["data"][f"{names.HOST_KEY}.pub"]).decode("ascii").strip()
