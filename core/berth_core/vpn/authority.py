"""The certificate authority of one instance's VPN: for that instance only, and deleted with it."""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, Self
from uuid import UUID

from cryptography.x509.oid import ExtendedKeyUsageOID

from berth_core import pki
from berth_core.pki import BACKDATED, KeyPair, common_name

__all__ = ["Authority", "KeyPair", "serial_of", "static_key"]

AUTHORITY_LIFE: Final = timedelta(days=3650)
"""Long, since the end of the lease ends the VPN, not the date."""
CLIENT_LIFE: Final = timedelta(days=366)
SERVER_NAME: Final = "server"
STATIC_KEY_BYTES: Final = 256


class Authority(pki.Authority):
    """Signs for one VPN."""

    @classmethod
    def of(cls, instance_id: str, epoch: int, now: datetime) -> Self:
        """Make the authority of one instance's lease; its name has the instance and the epoch."""
        return cls.new(f"{instance_id} e{epoch}", now, AUTHORITY_LIFE)

    def server(self, now: datetime) -> KeyPair:
        """Certificate of the VPN's server, valid as long as the authority's."""
        usages, end = [ExtendedKeyUsageOID.SERVER_AUTH], now + AUTHORITY_LIFE
        return self.issue(common_name(SERVER_NAME), usages, now - BACKDATED, end)

    def client(self, client_id: str, now: datetime, life: timedelta = CLIENT_LIFE) -> KeyPair:
        """Certificate of a client; its common name and serial number follow from its id, which is a UUID."""
        usages, end = [ExtendedKeyUsageOID.CLIENT_AUTH], now + life
        return self.issue(common_name(client_id), usages, now - BACKDATED, end, serial=serial_of(client_id))

    def revoked(self, client_ids: Iterable[str], now: datetime) -> str:
        """List of revoked clients (CRL, PEM)."""
        return self.revocations([serial_of(client_id) for client_id in sorted(set(client_ids))], now)


def serial_of(client_id: str) -> int:
    """Serial number of a client's certificate (RFC 5280: positive, at most 20 octets): the number that its id is."""
    return UUID(client_id).int


def static_key(entropy: bytes | None = None) -> str:
    """Key for tls-crypt in OpenVPN's form, random unless its 256 bytes are given."""
    drawn = secrets.token_bytes(STATIC_KEY_BYTES) if entropy is None else entropy
    if len(drawn) != STATIC_KEY_BYTES:
        raise ValueError(f"a static key has {STATIC_KEY_BYTES} bytes")
    lines = [drawn[at : at + 16].hex() for at in range(0, STATIC_KEY_BYTES, 16)]
    return "\n".join(("-----BEGIN OpenVPN Static key V1-----", *lines, "-----END OpenVPN Static key V1-----", ""))
