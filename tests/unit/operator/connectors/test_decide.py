"""The operator's decision about a request for a connector's certificate."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from berth_core import pki
from berth_core.connectors import certificates, tokens
from berth_core.connectors.conditions import ENROLLED
from berth_core.kube.conditions import find
from berth_core.resources import Connector
from berth_operator.connectors import decide
from berth_operator.connectors.decide import Request

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
AUTHORITY = pki.Authority.new("test", NOW - timedelta(days=300), timedelta(days=3650))
KEY = ec.generate_private_key(ec.SECP256R1())
BUILDER = x509.CertificateSigningRequestBuilder().subject_name(pki.common_name("whatever"))
CSR = BUILDER.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
HASH, OTHER = tokens.digest("c.token"), tokens.digest("c.other")


def connector(request: Any = None, certificate: Any = None, token: str | None = HASH) -> Connector:
    spec = {"enrolment": {"tokenHash": token, "expires": "2026-12-01T13:00:00Z"}} if token else {}
    status = {"request": request, "certificate": certificate}
    metadata = {"name": "b", "namespace": "lab", "uid": "c", "resourceVersion": "1", "generation": 4}
    return Connector.parse({"metadata": metadata, "spec": spec, "status": {k: v for k, v in status.items() if v}})


def enrolled(token: str = HASH) -> Connector:
    asked = connector({"kind": "enroll", "request": CSR, "tokenHash": HASH})
    wanted = decide.request(asked)
    assert isinstance(wanted, Request)
    pem = certificates.connector(AUTHORITY, "c", wanted.key, NOW)
    status = decide.signed(asked, wanted, pem, NOW).wire()
    status["certificate"]["tokenHash"] = token
    metadata = asked.metadata.model_dump(by_alias=True)
    return Connector.parse({"metadata": metadata, "spec": asked.spec.wire(), "status": status})


def test_a_request_by_the_latest_token_is_signed_for_the_connectors_own_name() -> None:
    one = enrolled()
    latest = one.status.certificate
    assert latest is not None
    assert one.status.request is None
    facts = certificates.facts_of(latest.pem)
    assert facts is not None
    assert (facts.uid, facts.serial, facts.end) == ("c", latest.serial, NOW + certificates.LIFE)
    assert b"whatever" not in x509.load_pem_x509_certificate(latest.pem.encode()).subject.public_bytes()
    condition = find(one.status.conditions, ENROLLED)
    assert condition is not None
    assert (condition.status, condition.reason) == ("True", "Signed")


def test_a_renewal_is_for_the_same_key_and_the_certificate_before_it_goes_on_counting() -> None:
    one = enrolled()
    latest = one.status.certificate
    assert latest is not None
    asked = connector({"kind": "renew", "serial": latest.serial}, latest.wire())
    wanted = decide.request(asked)
    assert isinstance(wanted, Request)
    status = decide.signed(asked, wanted, certificates.connector(AUTHORITY, "c", wanted.key, NOW), NOW)
    assert status.certificate is not None
    assert status.certificate.previous == latest.serial
    assert certificates.key_in(status.certificate.pem) == KEY.public_key()


@pytest.mark.parametrize(
    "asked",
    [
        connector({"kind": "enroll", "request": CSR, "tokenHash": OTHER}),
        connector({"kind": "enroll", "request": CSR, "tokenHash": HASH}, token=None),
        connector({"kind": "enroll", "tokenHash": HASH}),
        connector({"kind": "enroll", "request": "x", "tokenHash": HASH}),
        connector({"kind": "enroll", "request": CSR, "tokenHash": HASH}, enrolled().status.certificate.wire()),  # type: ignore[union-attr]
    ],
)
def test_other_requests_are_refused_and_say_why(asked: Connector) -> None:
    why = decide.request(asked)
    assert isinstance(why, str)
    status = decide.refused(asked, why, NOW)
    assert status.request is None
    assert status.certificate == asked.status.certificate
    condition = find(status.conditions, ENROLLED)
    assert condition is not None
    has_one = "False" if asked.status.certificate is None else "True"
    assert (condition.status, condition.reason, condition.message) == (has_one, "RequestRefused", why)


def test_a_renewal_of_an_outdated_certificate_is_dropped() -> None:
    asked = connector({"kind": "renew", "serial": "abc"}, enrolled().status.certificate.wire())  # type: ignore[union-attr]
    assert decide.request(asked) is None
    assert decide.outdated(asked).request is None
