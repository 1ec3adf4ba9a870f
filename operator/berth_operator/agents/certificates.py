"""Certificates between the operator and its agents: EC P-256, signed by the CA in the release's namespace.

Nothing here does I/O; times are parameters.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from berth_core import names

BACKDATED: Final = timedelta(minutes=10)
"""How far clocks of nodes may lag behind ours."""
AGENT_LIFE: Final = timedelta(days=3650)
"""An agent's certificate lives as long as its lease; the lease ends it, not the date. Never beyond the CA's."""
CLIENT_LIFE: Final = timedelta(hours=24)


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key, PEM."""

    certificate: str
    key: str


class Authority:
    """The CA for agents. ValueError where the Secret's content does not serve."""

    def __init__(self, certificate: bytes, key: bytes) -> None:
        self._certificate = x509.load_pem_x509_certificate(certificate)
        loaded = serialization.load_pem_private_key(key, password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise ValueError(f"the key in the Secret {names.AGENT_CA_SECRET} is not an EC key")
        self._key = loaded
        self.pem = certificate.decode("ascii")

    def agent(self, pod: str, epoch: int, now: datetime) -> KeyPair:
        """Server certificate of the agent of one lease, by the name of its pod."""
        return self._issue(names.agent_dns(pod, epoch), ExtendedKeyUsageOID.SERVER_AUTH, now, AGENT_LIFE)

    def operator(self, now: datetime) -> KeyPair:
        """Client certificate of the operator, for CLIENT_LIFE."""
        return self._issue(names.OPERATOR_DNS, ExtendedKeyUsageOID.CLIENT_AUTH, now, CLIENT_LIFE)

    def _issue(self, dns: str, usage: x509.ObjectIdentifier, now: datetime, life: timedelta) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            x509.CertificateBuilder()
            # The name may be longer than a common name can be; clients look at the alternative name only.
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "berth")]))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(now - BACKDATED, self._certificate.not_valid_before_utc))
            .not_valid_after(min(now + life, self._certificate.not_valid_after_utc))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(dns)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_SIGNATURE_ONLY, critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(authority, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return KeyPair(
            certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ).decode("ascii"),
        )


_SIGNATURE_ONLY: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
