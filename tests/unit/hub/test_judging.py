"""Decisions of the hub: tokens, renewals, links and streams."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from berth_core import pki
from berth_core.connectors import certificates, tokens, trust
from berth_core.connectors.certificates import Facts
from berth_core.connectors.words import Signer, Word
from berth_core.kube.model import timestamp
from berth_core.resources import Connector
from berth_hub import judging
from berth_hub.judging import Granted, Pending, Refusal

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
UID = "c-1"
TOKEN = tokens.new(UID)
WORDS = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SIGNER = Signer(pki.pem(WORDS))
KEYS = trust.keys(trust.document("x", pki.pem(WORDS)))


def csr(key: Any = None) -> str:
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(pki.common_name("connector"))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


CSR = csr()
WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 (it is to be refused)


def connector(*, token: str | None = TOKEN, life: timedelta = timedelta(hours=1), **status: Any) -> Connector:
    enrolment = {"tokenHash": tokens.digest(token), "expires": timestamp(NOW + life)} if token else None
    spec = {"enrolment": enrolment} if enrolment else {}
    metadata = {"name": "bench-7", "namespace": "lab", "uid": UID, "resourceVersion": "1"}
    return Connector.parse({"metadata": metadata, "spec": spec, "status": status})


def issued(token: str = TOKEN, serial: str = "a", previous: str | None = None) -> dict[str, Any]:
    return {
        "pem": "PEM",
        "serial": serial,
        **({"previous": previous} if previous else {}),
        "notBefore": timestamp(NOW - timedelta(days=1)),
        "notAfter": timestamp(NOW + timedelta(days=6)),
        "tokenHash": tokens.digest(token),
        "requestHash": certificates.request_hash(CSR),
    }


def shown(serial: str = "a", end: timedelta = timedelta(days=6)) -> Facts:
    return Facts(UID, serial, NOW + end - timedelta(days=7), NOW + end)


def test_a_fresh_token_asks_the_operator_for_a_certificate() -> None:
    outcome = judging.enroll(connector(), TOKEN, CSR, NOW)
    assert isinstance(outcome, Pending)
    assert outcome.request is not None
    assert (outcome.request.request, outcome.request.token_hash) == (CSR, tokens.digest(TOKEN))
    asked = connector(request=outcome.request.wire())
    assert judging.enroll(asked, TOKEN, CSR, NOW) == Pending(None)
    assert judging.enroll(connector(certificate=issued()), TOKEN, CSR, NOW) == Granted("PEM")


@pytest.mark.parametrize(
    ("one", "token", "request_", "reason"),
    [
        (connector(token=None), TOKEN, CSR, "TokenRefused"),
        (connector(token=tokens.new(UID)), TOKEN, CSR, "TokenRefused"),
        (connector(token="other.x"), "other.x", CSR, "TokenRefused"),
        (connector(life=timedelta(0)), TOKEN, CSR, "TokenExpired"),
        (connector(certificate=issued()), TOKEN, csr(), "TokenUsed"),
        (
            connector(request={"kind": "enroll", "request": CSR, "tokenHash": tokens.digest(TOKEN)}),
            TOKEN,
            csr(),
            "TokenUsed",
        ),
        (connector(), TOKEN, "no request", "RequestRefused"),
        (connector(), TOKEN, csr(WEAK), "RequestRefused"),
    ],
)
def test_no_other_token_gets_a_certificate(one: Connector, token: str, request_: str, reason: str) -> None:
    outcome = judging.enroll(one, token, request_, NOW)
    assert isinstance(outcome, Refusal)
    assert outcome.reason == reason


def test_a_token_that_has_expired_still_gets_the_certificate_that_was_signed_for_it() -> None:
    one = connector(life=timedelta(hours=-1), certificate=issued())
    assert judging.enroll(one, TOKEN, CSR, NOW) == Granted("PEM")


def test_a_certificate_is_renewed_from_half_of_its_time_until_ninety_days_after_its_end() -> None:
    one, half = connector(certificate=issued()), NOW - timedelta(hours=1)
    for end in (timedelta(days=3), timedelta(days=-89)):
        outcome = judging.renew(one, shown(end=end), NOW, half)
        assert isinstance(outcome, Pending)
        assert outcome.request is not None
        assert outcome.request.serial == "a"
    assert isinstance(judging.renew(one, shown(end=timedelta(days=-90)), NOW, half), Refusal)
    assert judging.renew(one, shown(), NOW, NOW + timedelta(hours=1)) == Granted("PEM")


def test_only_the_two_latest_certificates_of_the_enrolment_count() -> None:
    one = connector(certificate=issued(serial="b", previous="a"))
    assert judging.renew(one, shown("a"), NOW, None) == Granted("PEM")
    for serial in ("a", "b"):
        assert judging.link(one, shown(serial), NOW, "1") is None
        assert not judging.revoked(one, serial)
    other = judging.link(one, shown("c"), NOW, "1")
    assert other is not None
    assert other.reason == "Revoked"
    assert judging.revoked(one, "c")
    assert isinstance(judging.renew(one, shown("c"), NOW, None), Refusal)
    assert isinstance(judging.renew(None, shown("a"), NOW, None), Refusal)


@pytest.mark.parametrize(
    ("one", "facts", "protocol", "status"),
    [
        (connector(certificate=issued()), None, "1", 401),
        (None, shown(), "1", 403),
        (connector(), shown(), "1", 403),
        (connector(certificate=issued()), shown(end=timedelta(0)), "1", 403),
        (connector(certificate=issued()), shown(end=timedelta(days=8)), "1", 403),
        (connector(certificate=issued()), shown(), "0", 426),
        (connector(certificate=issued()), shown(), "2", 426),
        (connector(certificate=issued()), shown(), "", 426),
        (connector(certificate=issued()), shown(), "9" * 9, 426),
    ],
)
def test_no_other_host_links_itself(one: Connector | None, facts: Facts | None, protocol: str, status: int) -> None:
    refusal = judging.link(one, facts, NOW, protocol)
    assert refusal is not None
    assert refusal.status == status


def test_a_stream_needs_a_word_of_the_latest_epoch() -> None:
    text = SIGNER.sign("open", UID, "d", 3, ["127.0.0.1:80"])
    for known, passes in ((2, True), (3, True), (4, False)):
        word = {"deployment": "d", "epoch": known, "word": "x"}
        outcome = judging.stream(text, KEYS, {UID: connector(words=[word])})
        assert (outcome == Word(UID, "open", "d", 3)) == passes
    over = connector(words=[{"deployment": "d", "epoch": 3, "over": True, "word": "x"}])
    for connectors, word_ in (({UID: over}, text), ({}, text), ({UID: connector()}, SIGNER.sign("begun", UID, "d", 3))):
        assert isinstance(judging.stream(word_, KEYS, connectors), Refusal)
    assert isinstance(judging.stream("x.y.z", KEYS, {UID: connector()}), Refusal)
    assert isinstance(judging.stream(text, {}, {UID: connector()}), Refusal)
