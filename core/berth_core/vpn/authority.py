"""The certificate authority of one instance's VPN: EC P-256, for that instance only, and deleted with it."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BACKDATED: Final = timedelta(minutes=10)
"""Time by which clocks of nodes and clients may lag behind ours."""
AUTHORITY_LIFE: Final = timedelta(days=3650)
"""Long, since the end of the lease ends the VPN, not the date."""
CLIENT_LIFE: Final = timedelta(days=366)
SERVER_NAME: Final = "server"
STATIC_KEY_BYTES: Final = 256


@dataclass(frozen=True, repr=False)
class KeyPair:
    """A certificate and its private key, PEM."""

    certificate: str
    key: str


class Authority:
    """Signs for one VPN. ``certificate`` and ``key`` are PEM; ValueError where they are unusable."""

    def __init__(self, certificate: bytes, key: bytes) -> None:
        self._certificate = x509.load_pem_x509_certificate(certificate)
        loaded = serialization.load_pem_private_key(key, password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise ValueError("the key of the VPN's authority is not an EC key")
        self._key = loaded

    @classmethod
    def new(cls, instance_id: str, epoch: int, now: datetime) -> Self:
        """Make the authority of one instance's lease; its name has the instance and the epoch."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"{instance_id} e{epoch}")
        certificate = (
            _builder(name, key, now, AUTHORITY_LIFE)
            .subject_name(name)
            .serial_number(x509.random_serial_number())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate.public_bytes(serialization.Encoding.PEM), _pem(key).encode("ascii"))

    @property
    def pair(self) -> KeyPair:
        """Its own certificate and key."""
        return KeyPair(_certificate_pem(self._certificate), _pem(self._key))

    def server(self, now: datetime) -> KeyPair:
        """Certificate of the VPN's server, valid as long as the authority's."""
        serial = x509.random_serial_number()
        return self._issue(SERVER_NAME, serial, ExtendedKeyUsageOID.SERVER_AUTH, now, AUTHORITY_LIFE)

    def client(self, client_id: str, now: datetime, life: timedelta = CLIENT_LIFE) -> KeyPair:
        """Certificate of a client; its common name and serial number follow from its id, which is a UUID."""
        return self._issue(client_id, serial_of(client_id), ExtendedKeyUsageOID.CLIENT_AUTH, now, life)

    def revocations(self, client_ids: Iterable[str], now: datetime) -> str:
        """List of revoked clients (CRL, PEM). It does not expire before the authority."""
        ids = sorted(set(client_ids))
        start, end = now - BACKDATED, self._certificate.not_valid_after_utc
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(start)
            .next_update(end)
            .add_extension(x509.CRLNumber(len(ids)), critical=False)
            .add_extension(self._identifier, critical=False)
        )
        for client_id in ids:
            revoked = x509.RevokedCertificateBuilder().serial_number(serial_of(client_id)).revocation_date(start)
            builder = builder.add_revoked_certificate(revoked.build())
        signed = builder.sign(self._key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode("ascii")

    @property
    def _identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())

    def _issue(self, name: str, serial: int, usage: x509.ObjectIdentifier, now: datetime, life: timedelta) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        until = min(now + life, self._certificate.not_valid_after_utc)
        certificate = (
            _builder(self._certificate.subject, key, now, until - now)
            .subject_name(_name(name))
            .serial_number(serial)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(self._identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return KeyPair(_certificate_pem(certificate), _pem(key))


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


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _builder(
    issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    start = min(now, now + life) - BACKDATED
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .public_key(key.public_key())
        .not_valid_before(start)
        .not_valid_after(now + life)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    """A CA signs certificates and lists; the others sign handshakes, without which OpenVPN refuses them."""
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _certificate_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")
