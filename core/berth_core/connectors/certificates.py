"""Certificates of connectors and of the hub, by their own authority. No I/O; times are parameters."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from berth_core import names, pki
from berth_core.pki import BACKDATED, Authority, KeyPair

LIFE: Final = timedelta(days=7)
"""Life of a connector's certificate; it is renewed at half of it."""
GRACE: Final = timedelta(days=90)
"""Time after its end in which the latest certificate may be renewed once."""
HUB_LIFE: Final = timedelta(days=30)
SUBJECT: Final = pki.common_name("berth connector")
LEAST_RSA_BITS: Final = 2048


class RequestError(ValueError):
    """A request that is not signed; the message says why."""


@dataclass(frozen=True)
class Facts:
    """Content of a connector's certificate."""

    uid: str
    serial: str
    begin: datetime
    end: datetime


def key_of(request: str) -> pki.PublicKey:
    """Return the key of a request (PEM) that proves to have it. Raises RequestError."""
    try:
        parsed = x509.load_pem_x509_csr(request.encode())
        if not parsed.is_signature_valid:
            raise RequestError("the request is not signed by its own key")
        key = parsed.public_key()
    except (ValueError, x509.UnsupportedGeneralNameType) as error:
        raise error if isinstance(error, RequestError) else RequestError("the request cannot be read") from error
    return _strong(key)


def key_in(certificate: str) -> pki.PublicKey:
    """Return the key of a certificate (PEM). Raises RequestError."""
    try:
        return _strong(x509.load_pem_x509_certificate(certificate.encode()).public_key())
    except ValueError as error:
        raise error if isinstance(error, RequestError) else RequestError("the certificate cannot be read") from error


def connector(authority: Authority, uid: str, key: pki.PublicKey, now: datetime) -> str:
    """Sign a certificate (PEM) for the connector with this uid. Nothing of its request counts but the key."""
    alternative = x509.DNSName(names.connector_dns(uid))
    return authority.sign(
        SUBJECT, key, [ExtendedKeyUsageOID.CLIENT_AUTH], now - BACKDATED, now + LIFE, names=[alternative]
    )


def hub(authority: Authority, now: datetime) -> KeyPair:
    """Make the hub's certificate and key."""
    alternative = x509.DNSName(names.HUB_DNS)
    usages = [ExtendedKeyUsageOID.SERVER_AUTH]
    return authority.issue(pki.common_name("berth hub"), usages, now - BACKDATED, now + HUB_LIFE, names=[alternative])


def facts(der: bytes) -> Facts | None:
    """Read a connector's certificate, which TLS has verified; None where it is another's."""
    certificate = x509.load_der_x509_certificate(der)
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    for name in alternative.get_values_for_type(x509.DNSName):
        uid, _, domain = name.partition(".")
        if domain == names.CONNECTOR_DOMAIN:
            begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            return Facts(uid, serial_text(certificate.serial_number), begin, end)
    return None


def facts_of(pem: str) -> Facts | None:
    """Read a connector's certificate (PEM)."""
    return facts(x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER))


def end_of(pem: bytes) -> datetime | None:
    """Return the end of a certificate; None where it cannot be read."""
    try:
        return x509.load_pem_x509_certificate(pem).not_valid_after_utc
    except ValueError:
        return None


def serial_text(number: int) -> str:
    """Return a serial number as resources hold it."""
    return f"{number:x}"


def request_hash(request: str) -> str:
    """Return what a Connector keeps of a request."""
    return hashlib.sha256(request.encode()).hexdigest()


def _strong(key: object) -> pki.PublicKey:
    if isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= LEAST_RSA_BITS:
        return key
    raise RequestError(f"the key must be EC, Ed25519, or RSA of at least {LEAST_RSA_BITS} bits")
