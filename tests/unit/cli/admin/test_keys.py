"""Keys of an installation."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from berth_cli.admin.keys import material
from berth_core.keys import webhooks

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def test_a_signing_key_verifies_with_its_published_half() -> None:
    kid, pem = material.new_signing_key()
    token = jwt.encode({"sub": "alice"}, pem, algorithm="RS256", headers={"kid": kid})
    published = jwt.PyJWKSet.from_dict(material.merged_jwks({}, {kid: pem}))
    assert jwt.decode(token, published[kid].key, algorithms=["RS256"]) == {"sub": "alice"}


def test_the_published_half_has_nothing_private() -> None:
    kid, pem = material.new_signing_key()
    assert material.jwk(pem, kid).keys() == {"kty", "use", "alg", "kid", "n", "e"}


def test_the_kid_is_the_thumbprint_of_the_specification() -> None:
    # RFC 7638, section 3.1.
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
        "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvR"
        "L5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDK"
        "gw"
    )
    key = jwt.algorithms.RSAAlgorithm.from_jwk({"kty": "RSA", "n": n, "e": "AQAB"})
    assert isinstance(key, rsa.RSAPublicKey)
    assert material.thumbprint(key) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_published_keys_stay_and_new_ones_are_added_once() -> None:
    (old, old_pem), (new, new_pem) = material.new_signing_key(), material.new_signing_key()
    first = material.merged_jwks({}, {old: old_pem})
    both = material.merged_jwks(first, {new: new_pem})
    assert [key["kid"] for key in both["keys"]] == [old, new]
    assert material.merged_jwks(both, {old: old_pem, new: new_pem}) == both


def test_another_kind_of_key_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with pytest.raises(ValueError, match="no RSA key"):
        material.jwk(pem, "one")


def test_the_authority_signs_leaves_and_nothing_else() -> None:
    made = material.new_authority(NOW)
    certificate = x509.load_pem_x509_certificate(made.certificate.encode())
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    assert usage.key_cert_sign
    assert not usage.digital_signature
    assert certificate.not_valid_before_utc < NOW < certificate.not_valid_after_utc
    certificate.verify_directly_issued_by(certificate)
    key: Any = serialization.load_pem_private_key(made.key.encode(), password=None)
    assert isinstance(key.curve, ec.SECP256R1)
    assert key.public_key() == certificate.public_key()


def test_base64url_has_no_padding() -> None:
    kid, pem = material.new_signing_key()
    said = json.dumps(material.jwk(pem, kid))
    assert "=" not in said
    assert base64.urlsafe_b64decode(kid + "=")


def test_keys_of_webhooks_are_new_each_time_and_sign() -> None:
    one, other = material.new_webhook_keys(), material.new_webhook_keys()
    assert one.keys() == other.keys() == {"ed25519.pem", "master"}
    assert not set(one.values()) & set(other.values())
    assert webhooks.public_key(one["ed25519.pem"]).startswith("whpk_")
    assert len(one["master"]) == 32
