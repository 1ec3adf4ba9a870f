"""Certificates of a VPN: who they serve, how long, and what revoking lists."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from berth_core.pki import BACKDATED
from berth_core.vpn import Authority, KeyPair, static_key
from berth_core.vpn.authority import AUTHORITY_LIFE, CLIENT_LIFE, serial_of

NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
ID = "01900000-0000-7000-8000-000000000001"
CLIENT = "0b5a1c52-6a3e-4f65-9e0a-000000000001"
AUTHORITY = Authority.of(ID, 3, NOW)
OWN = x509.load_pem_x509_certificate(AUTHORITY.pair.certificate.encode())


def certificate(pair: KeyPair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate.encode())


def listed(client_ids: Collection[str]) -> x509.CertificateRevocationList:
    return x509.load_pem_x509_crl(AUTHORITY.revoked(client_ids, NOW).encode())


def test_every_certificate_is_of_the_instances_own_authority_and_signs_handshakes_only() -> None:
    usages = {
        ExtendedKeyUsageOID.SERVER_AUTH: AUTHORITY.server(NOW),
        ExtendedKeyUsageOID.CLIENT_AUTH: AUTHORITY.client(CLIENT, NOW),
    }
    for usage, pair in usages.items():
        made = certificate(pair)
        made.verify_directly_issued_by(OWN)
        assert isinstance(made.public_key(), ec.EllipticCurvePublicKey)
        key_usage = made.extensions.get_extension_for_class(x509.KeyUsage).value
        assert key_usage.digital_signature
        assert not key_usage.key_cert_sign
        assert list(made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [usage]
        assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_another_authority_of_the_same_instance_did_not_sign_them() -> None:
    other = certificate(Authority.of(ID, 3, NOW).client(CLIENT, NOW))
    with pytest.raises(InvalidSignature):
        other.verify_directly_issued_by(OWN)


def test_a_client_is_known_by_its_id() -> None:
    made = certificate(AUTHORITY.client(CLIENT, NOW))
    assert made.serial_number == UUID(CLIENT).int
    assert [a.value for a in made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [CLIENT]


def test_times_are_backdated_for_slow_clocks_and_end_with_the_authority() -> None:
    made = certificate(AUTHORITY.client(CLIENT, NOW))
    assert made.not_valid_before_utc == NOW - BACKDATED
    assert made.not_valid_after_utc == NOW + CLIENT_LIFE
    late = NOW + AUTHORITY_LIFE - timedelta(days=1)
    assert certificate(AUTHORITY.client(CLIENT, late)).not_valid_after_utc == OWN.not_valid_after_utc
    over = certificate(AUTHORITY.client(CLIENT, NOW, timedelta(hours=-1)))
    assert over.not_valid_after_utc == NOW - timedelta(hours=1)


def test_it_can_be_stored_and_read_back() -> None:
    pair = AUTHORITY.pair
    again = Authority(pair.certificate.encode(), pair.key.encode())
    certificate(again.client(CLIENT, NOW)).verify_directly_issued_by(OWN)
    assert pair.key not in repr(pair)


@settings(deadline=None, max_examples=30)
@given(st.sets(st.uuids().map(str), max_size=20))
def test_exactly_the_revoked_are_listed_and_the_number_grows_with_them(revoked: set[str]) -> None:
    made = listed(sorted(revoked))
    assert {entry.serial_number for entry in made} == {serial_of(one) for one in revoked}
    assert made.is_signature_valid(AUTHORITY_KEY)
    assert made.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == len(revoked)
    assert made.last_update_utc <= NOW
    assert made.next_update_utc == OWN.not_valid_after_utc


@given(st.uuids())
def test_serial_numbers_are_what_rfc_5280_allows(drawn: UUID) -> None:
    assert serial_of(str(drawn)).bit_length() <= 159


@given(st.binary(min_size=256, max_size=256))
def test_a_static_key_has_all_its_bytes_in_sixteen_lines(entropy: bytes) -> None:
    head, *lines, tail = static_key(entropy).splitlines()
    assert head.startswith("-----BEGIN OpenVPN Static key V1")
    assert tail.startswith("-----END OpenVPN Static key V1")
    assert [len(line) for line in lines] == [32] * 16
    assert bytes.fromhex("".join(lines)) == entropy


def test_a_static_key_is_drawn_anew_and_never_short() -> None:
    assert static_key() != static_key()
    with pytest.raises(ValueError, match="256 bytes"):
        static_key(b"short")


_public = OWN.public_key()
assert isinstance(_public, ec.EllipticCurvePublicKey)
AUTHORITY_KEY = _public
