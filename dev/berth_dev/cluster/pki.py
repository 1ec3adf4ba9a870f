"""The cluster's certificate authority and the certificates it signs.

One throwaway CA for everything in a cluster that lives on one machine; EC P-256 keys, valid
for ten years, written with mode 0600.
"""

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from berth_core import pki

VALIDITY = dt.timedelta(days=3650)
BEGINS = -dt.timedelta(hours=1)
"""Begin of certificates, relative to now, so that slower clocks accept them."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key on disk (PEM)."""

    certificate: Path
    key: Path


class Authority:
    """A new CA, written to `folder` as `ca.crt` and `ca.key`."""

    def __init__(self, folder: Path, name: str = "berth-cluster") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._authority = pki.Authority.new(name, dt.datetime.now(dt.UTC) + BEGINS, VALIDITY - BEGINS)
        self.pair = _write(folder, "ca", self._authority.pair)

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
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return self._sign(name, pki.common_name(hosts[0]), purposes, hosts, (begins, validity))

    def _sign(
        self,
        name: str,
        subject: x509.Name,
        purposes: list[x509.ObjectIdentifier],
        hosts: list[str],
        valid: tuple[dt.timedelta, dt.timedelta],
    ) -> Pair:
        begin, end = (dt.datetime.now(dt.UTC) + one for one in valid)
        pair = self._authority.issue(subject, purposes, begin, end, names=map(_host, hosts))
        return _write(self.folder, name, pair)


def service_account_key(folder: Path) -> Pair:
    """The key that signs service account tokens, with its public half (PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    pair = Pair(certificate=folder / "service-account.pub", key=folder / "service-account.key")
    _write_private(pair.key, pki.pem(key))
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    pair.certificate.write_bytes(public)
    return pair


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(folder: Path, name: str, material: pki.KeyPair) -> Pair:
    pair = Pair(certificate=folder / f"{name}.crt", key=folder / f"{name}.key")
    pair.certificate.write_text(material.certificate)
    _write_private(pair.key, material.key.encode())
    return pair


def _write_private(path: Path, key: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(key)
