"""The cluster's certificate authority and the certificates it signs.

One throwaway CA for everything in a cluster that lives on one machine; EC P-256 keys, valid
for ten years, written with mode 0600.
"""

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALIDITY = dt.timedelta(days=3650)
BEGINS = -dt.timedelta(hours=1)
"""Begin of certificates, relative to now, so that slower clocks accept them."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key on disk (PEM)."""

    certificate: Path
    key: Path


class Authority:
    """A new CA, written to `folder` as `ca.crt` and `ca.key`; clients that are strict about RFC 5280 take it too."""

    def __init__(self, folder: Path, name: str = "berth-cluster") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            _unsigned(subject, subject, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(signing=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
        )
        self._certificate = builder.sign(self._key, hashes.SHA256())
        self.pair = _write(folder, "ca", self._certificate, self._key)

    def client(self, name: str, *, user: str, group: str | None = None) -> Pair:
        """A client certificate for `user` in `group`, written as `<name>.crt` and `<name>.key`."""
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        if group:
            attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
        return self._sign(name, x509.Name(attributes), [ExtendedKeyUsageOID.CLIENT_AUTH], [], (BEGINS, VALIDITY))

    def server(
        self, name: str, *, hosts: list[str], validity: dt.timedelta = VALIDITY, begins: dt.timedelta = BEGINS
    ) -> Pair:
        """A certificate for `hosts` (DNS names and IP addresses), good as server and as client; times are from now."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return self._sign(name, subject, purposes, hosts, (begins, validity))

    def _sign(
        self,
        name: str,
        subject: x509.Name,
        purposes: list[x509.ObjectIdentifier],
        hosts: list[str],
        valid: tuple[dt.timedelta, dt.timedelta],
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            _unsigned(subject, self._certificate.subject, key.public_key(), *valid)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signing=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(signer, critical=False)
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(map(_host, hosts))), critical=False)
        return _write(self.folder, name, builder.sign(self._key, hashes.SHA256()), key)


def service_account_key(folder: Path) -> Pair:
    """The key that signs service account tokens, with its public half (PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    pair = Pair(certificate=folder / "service-account.pub", key=folder / "service-account.key")
    _write_private(pair.key, key)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    pair.certificate.write_bytes(public)
    return pair


def _unsigned(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    begins: dt.timedelta = BEGINS,
    validity: dt.timedelta = VALIDITY,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + validity)
    )


def _usage(*, signing: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signing,
        crl_sign=signing,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    pair = Pair(certificate=folder / f"{name}.crt", key=folder / f"{name}.key")
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_private(pair.key, key)
    return pair


def _write_private(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
