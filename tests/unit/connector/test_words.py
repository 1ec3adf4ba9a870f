"""The connector's reader of words against a library that signs them."""

import base64
import hashlib
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from berth_connector import words
from berth_connector.words import Word, WordError

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CONNECTOR, DEPLOYMENT = "c-uid", "d-uid"


def jwk(key: rsa.RSAPrivateKey) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    return fields


KEYS = {"k1": words.modulus(jwk(KEY))}
CLAIMS = {"aud": "berth-connector", "connector": CONNECTOR, "do": "open", "sub": DEPLOYMENT, "epoch": 3,
          "targets": ["127.0.0.1:30002"]}  # fmt: skip


def signed(claims: dict[str, Any], key: Any = KEY, kid: str = "k1", algorithm: str = "RS256") -> str:
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})


def test_a_word_of_the_operator_is_read() -> None:
    assert words.verify(signed(CLAIMS), KEYS, CONNECTOR) == Word("open", DEPLOYMENT, 3, ("127.0.0.1:30002",))


@pytest.mark.parametrize(
    "text",
    [
        signed(CLAIMS, OTHER),
        signed(CLAIMS, kid="k2"),
        signed(CLAIMS, algorithm="PS256"),
        signed(CLAIMS, "s" * 32, algorithm="HS256"),
        signed(CLAIMS, generate_private_key(SECP256R1()), algorithm="ES256"),
        jwt.encode(CLAIMS, "", algorithm="none", headers={"kid": "k1"}),
        signed({**CLAIMS, "connector": "another"}),
        signed({**CLAIMS, "aud": "berth"}),
        signed({**CLAIMS, "do": "run"}),
        signed({**CLAIMS, "sub": ""}),
        *(signed({**CLAIMS, "epoch": epoch}) for epoch in (0, -1, True, 1.5, "3", None, 1 << 53)),
        signed({**CLAIMS, "targets": "127.0.0.1:1"}),
        signed({**CLAIMS, "targets": ["127.0.0.1:1"] * 33}),
        signed(CLAIMS)[:-1],
        signed(CLAIMS) + "A",
        signed(CLAIMS) + "=",
        "." + signed(CLAIMS),
        signed({**CLAIMS, "x": "y" * 5000}),
        "",
        "...",
        "é",
    ],
)
def test_no_other_word_counts(text: str) -> None:
    with pytest.raises(WordError):
        words.verify(text, KEYS, CONNECTOR)


@given(st.data())
def test_a_word_in_which_a_single_bit_differs_does_not_count(data: st.DataObject) -> None:
    text = signed(CLAIMS).encode()
    place, bit = data.draw(st.integers(0, len(text) - 1)), data.draw(st.integers(0, 6))
    other = bytes([*text[:place], text[place] ^ (1 << bit), *text[place + 1 :]]).decode()
    with pytest.raises(WordError):
        words.verify(other, KEYS, CONNECTOR)


@given(st.binary(max_size=64))
def test_exactly_the_signatures_that_the_library_accepts_count(message: bytes) -> None:
    signature = KEY.sign(message, padding.PKCS1v15(), SHA256())
    assert words._signed(message, signature, KEYS["k1"])
    assert not words._signed(message + b"x", signature, KEYS["k1"])
    number = int.from_bytes(signature, "big") + KEYS["k1"]
    if number.bit_length() <= 8 * len(signature):  # the same number modulo the key must not be a second signature
        assert not words._signed(message, number.to_bytes(len(signature), "big"), KEYS["k1"])


def test_a_signature_with_garbage_behind_the_digest_does_not_count() -> None:
    """As forgers make them where a verifier looks for the digest and not at the end (CVE-2006-4339)."""
    digest = words._SHA256 + hashlib.sha256(b"m").digest()
    encoded = b"\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\x00" + digest
    forged = int.from_bytes(encoded + bytes(256 - len(encoded)), "big")
    numbers = KEY.private_numbers()
    signature = pow(forged, numbers.d, numbers.public_numbers.n).to_bytes(256, "big")
    assert not words._signed(b"m", signature, KEYS["k1"])


@pytest.mark.parametrize("fields", [{"kty": "EC"}, {"e": "Aw"}, {"n": base64.urlsafe_b64encode(b"x" * 64).decode()}])
def test_keys_that_are_too_weak_to_sign_are_refused(fields: dict[str, str]) -> None:
    with pytest.raises(WordError):
        words.modulus({**jwk(KEY), **fields})
