"""Certificates between the operator and its agents, signed by the CA in the release's namespace."""

from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from berth_core import names, pki
from berth_core.pki import BACKDATED, KeyPair

__all__ = ["Authority", "KeyPair"]

AGENT_LIFE: Final = timedelta(days=3650)
"""An agent's certificate lives as long as its lease; the lease ends it, not the date. Never beyond the CA's."""
CLIENT_LIFE: Final = timedelta(hours=24)
SUBJECT: Final = pki.common_name("berth")
"""Clients look at the alternative name only, which may be longer than a common name can be."""


class Authority(pki.Authority):
    """The CA for agents."""

    @property
    def pem(self) -> str:
        """Its certificate."""
        return self.pair.certificate

    def agent(self, pod: str, epoch: int, now: datetime) -> KeyPair:
        """Server certificate of the agent of one lease, by the name of its pod."""
        return self._named(names.agent_dns(pod, epoch), ExtendedKeyUsageOID.SERVER_AUTH, now, AGENT_LIFE)

    def operator(self, now: datetime) -> KeyPair:
        """Client certificate of the operator, for CLIENT_LIFE."""
        return self._named(names.OPERATOR_DNS, ExtendedKeyUsageOID.CLIENT_AUTH, now, CLIENT_LIFE)

    def _named(self, dns: str, usage: x509.ObjectIdentifier, now: datetime, life: timedelta) -> KeyPair:
        return self.issue(SUBJECT, [usage], now - BACKDATED, now + life, names=[x509.DNSName(dns)])
