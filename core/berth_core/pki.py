"""Certificate authorities with keys EC P-256: of agents, of a VPN, of a local cluster. No I/O; times are parameters."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import NameOID

BACKDATED: Final = timedelta(minutes=10)
"""Time by which other clocks may lag behind ours."""
LONGEST_NAME: Final = 64
"""Of a common name, in characters."""
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


@dataclass(frozen=True, repr=False)
class KeyPair:
    """A certificate and its private key, PEM."""

    certificate: str
    key: str


class Authority:
    """Signs certificates. ``certificate`` and ``key`` are PEM; ValueError where they are unusable."""

    def __init__(self, certificate: bytes, key: bytes) -> None:
        self._certificate = x509.load_pem_x509_certificate(certificate)
        loaded = serialization.load_pem_private_key(key, password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise ValueError(f"the key of the authority {self._certificate.subject.rfc4514_string()} is not an EC key")
        self._key = loaded

    @classmethod
    def new(cls, name: str, now: datetime, life: timedelta) -> Self:
        """Make a self-signed authority that signs leaf certificates and lists only."""
        key, subject = ec.generate_private_key(ec.SECP256R1()), common_name(name)
        certificate = (
            _builder(subject, subject, key.public_key(), now - BACKDATED, now + life)
            .serial_number(x509.random_serial_number())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(is_authority=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate.public_bytes(serialization.Encoding.PEM), pem(key))

    @property
    def pair(self) -> KeyPair:
        """Its own certificate and key."""
        return _pair(self._certificate, self._key)

    def issue(
        self,
        subject: x509.Name,
        usages: Sequence[x509.ObjectIdentifier],
        begin: datetime,
        end: datetime,
        *,
        names: Iterable[x509.GeneralName] = (),
        serial: int | None = None,
    ) -> KeyPair:
        """Make a certificate for a new key. It begins and ends within the authority's own time."""
        key = ec.generate_private_key(ec.SECP256R1())
        signed = self.sign(subject, key.public_key(), usages, begin, end, names=names, serial=serial)
        return KeyPair(signed, pem(key).decode("ascii"))

    def sign(
        self,
        subject: x509.Name,
        key: PublicKey,
        usages: Sequence[x509.ObjectIdentifier],
        begin: datetime,
        end: datetime,
        *,
        names: Iterable[x509.GeneralName] = (),
        serial: int | None = None,
    ) -> str:
        """Sign a certificate (PEM) for a key that another has. It begins and ends within the authority's own time."""
        end = min(end, self._certificate.not_valid_after_utc)
        begin = min(max(begin, self._certificate.not_valid_before_utc), end - BACKDATED)
        builder = (
            _builder(subject, self._certificate.subject, key, begin, end)
            .serial_number(x509.random_serial_number() if serial is None else serial)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(is_authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(self._identifier, critical=False)
        )
        if alternatives := list(names):
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode("ascii")

    def revocations(self, serials: Sequence[int], now: datetime) -> str:
        """List of revoked serial numbers (CRL, PEM). It does not expire before the authority."""
        begin, end = now - BACKDATED, self._certificate.not_valid_after_utc
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(begin)
            .next_update(end)
            .add_extension(x509.CRLNumber(len(serials)), critical=False)
            .add_extension(self._identifier, critical=False)
        )
        for serial in serials:
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(begin)
            builder = builder.add_revoked_certificate(revoked.build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode("ascii")

    @property
    def _identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())


def common_name(text: str) -> x509.Name:
    """Return a name, shortened to what a common name can be."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:LONGEST_NAME])])


def pem(key: PrivateKeyTypes) -> bytes:
    """Return a private key as PEM (PKCS#8)."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PublicKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    """An authority signs certificates and lists; the others sign handshakes, without which OpenVPN refuses them."""
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    return KeyPair(certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"), pem(key).decode("ascii"))
