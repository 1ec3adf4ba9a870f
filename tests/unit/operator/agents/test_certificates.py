from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from berth_operator.agents.certificates import Authority, KeyPair

from ..samples import ID, NOW

LIFE = timedelta(days=100)


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.fixture(scope="module")
def root() -> tuple[x509.Certificate, bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW - timedelta(days=1), NOW + LIFE)
    certificate = builder.add_extension(x509.BasicConstraints(True, 0), critical=True).sign(key, hashes.SHA256())
    return certificate, certificate.public_bytes(serialization.Encoding.PEM), pem(key)


def read(pair: KeyPair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate.encode())


def dns(certificate: x509.Certificate) -> list[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName)


def usages(certificate: x509.Certificate) -> list[x509.ObjectIdentifier]:
    return list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_an_agent_s_certificate_names_instance_and_epoch_and_ends_with_the_authority(
    root: tuple[x509.Certificate, bytes, bytes],
) -> None:
    certificate = read(Authority(root[1], root[2]).agent(f"i-{ID}", 3, NOW))
    certificate.verify_directly_issued_by(root[0])
    assert dns(certificate) == [f"e3.i-{ID}.agent.berth.internal"]
    assert usages(certificate) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert certificate.not_valid_after_utc == NOW + LIFE


def test_the_operator_s_certificate_lives_for_a_day(root: tuple[x509.Certificate, bytes, bytes]) -> None:
    certificate = read(Authority(root[1], root[2]).operator(NOW))
    assert dns(certificate) == ["operator.berth.internal"]
    assert usages(certificate) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert certificate.not_valid_after_utc == NOW + timedelta(days=1)


def test_an_authority_without_an_ec_key_is_refused(root: tuple[x509.Certificate, bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="not an EC key"):
        Authority(root[1], pem(rsa.generate_private_key(65537, 2048)))
