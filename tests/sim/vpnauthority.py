"""The authority of a VPN, played: real certificates take far too long, and nothing under test looks into them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Self

from berth_core.vpn import KeyPair


class FixedVpn:
    """Certificates that say what they are for."""

    def __init__(self, certificate: bytes, key: bytes) -> None:
        self.pair = KeyPair(certificate.decode(), key.decode())

    @classmethod
    def of(cls, instance: str, epoch: int, now: datetime) -> Self:  # noqa: ARG003 (as the real one is asked)
        """Make that of one lease."""
        return cls(f"authority of {instance} epoch {epoch}".encode(), b"key")

    def server(self, now: datetime) -> KeyPair:
        """Certificate of the server."""
        return KeyPair("certificate of the server", "key")

    def client(self, client: str, now: datetime) -> KeyPair:
        """Certificate of a client."""
        return KeyPair(f"certificate of {client}", "key")

    def revoked(self, clients: Iterable[str], now: datetime) -> str:
        """List of revoked clients."""
        return " ".join(sorted(clients))
