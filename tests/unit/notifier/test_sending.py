"""Requests to a receiver, and the meaning of its answers."""

import base64
import json
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook, WebhookVerificationError

from berth_core.keys import webhooks
from berth_core.process.settings import networks
from berth_notifier import connecting, outcome, sending
from berth_notifier.addresses import Policy

from .receiver import KEYS, PEM, message, receiving, zone
from .receiver import sending as sender_with

LAB = Policy(allowed=networks("127.0.0.0/8,::1/128"))
NAME = "receiver.example"


async def one(url: str, tls: ssl.SSLContext | None = None, **fields: str) -> outcome.Outcome:
    async with sender_with(LAB, zone({NAME: ["127.0.0.1"]}), tls) as sender:
        return await sender.send(message(url, **fields), datetime.now(UTC))


def headers_of(head: str) -> dict[str, str]:
    pairs = [line.partition(": ") for line in head.strip().split("\r\n")[1:]]
    return {name.lower(): value for name, _, value in pairs}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Certificate for NAME and 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(NAME), x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "tls.crt", folder / "tls.key"


@pytest.fixture
def serving_tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.mark.parametrize("host", ["127.0.0.1", NAME])
async def test_a_receiver_on_the_allow_list_gets_the_payload_letter_by_letter(host: str) -> None:
    payload = '{"type": "reservation.fulfilled",  "ü": 1}'
    async with receiving() as receiver:
        ended = await one(f"http://{host}:{receiver.port}/hook?key=1%2B1", payload=payload)
    assert ended.delivered
    ((head, body),) = receiver.requests
    assert head.startswith("POST /hook?key=1%2B1 HTTP/1.1\r\n")
    assert headers_of(head)["host"] == f"{host}:{receiver.port}"
    assert headers_of(head)["content-type"] == "application/json"
    assert body.decode() == payload


async def test_an_ipv6_receiver_is_reached() -> None:
    async with receiving("::1") as receiver:
        assert (await one(f"http://[::1]:{receiver.port}/")).delivered


async def test_the_users_secret_verifies_it_with_the_public_library_and_nobody_elses_does() -> None:
    async with receiving() as receiver:
        await one(f"http://127.0.0.1:{receiver.port}/", payload='{"ü": 1}', id="msg_7", user="alice")
    ((head, body),) = receiver.requests
    headers = headers_of(head)
    assert headers["webhook-id"] == "msg_7"
    assert Webhook(webhooks.user_secret(KEYS.master, "alice")).verify(body, headers) == json.loads(body)
    with pytest.raises(WebhookVerificationError):
        Webhook(webhooks.user_secret(KEYS.master, "bob")).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(webhooks.user_secret(KEYS.master, "alice")).verify(body + b" ", headers)


async def test_the_public_key_verifies_it_too() -> None:
    async with receiving() as receiver:
        await one(f"http://127.0.0.1:{receiver.port}/")
    ((head, body),) = receiver.requests
    headers = headers_of(head)
    (signature,) = [s[4:] for s in headers["webhook-signature"].split(" ") if s.startswith("v1a,")]
    raw = base64.b64decode(webhooks.public_key(PEM).removeprefix("whpk_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    Ed25519PublicKey.from_public_bytes(raw).verify(base64.b64decode(signature), signed)


async def test_https_is_for_the_name_and_verified(certificate: tuple[Path, Path], serving_tls: ssl.SSLContext) -> None:
    trusting = connecting.verifying(certificate[0])
    async with receiving(tls=serving_tls) as receiver:
        assert (await one(f"https://{NAME}:{receiver.port}/", trusting)).delivered
        assert (await one(f"https://127.0.0.1:{receiver.port}/", trusting)).delivered
    assert receiver.names == [NAME, None]


async def test_a_certificate_of_a_stranger_or_for_another_name_ends_the_attempt(
    certificate: tuple[Path, Path], serving_tls: ssl.SSLContext
) -> None:
    trusting = connecting.verifying(certificate[0])
    async with receiving(tls=serving_tls) as receiver:
        stranger = await one(f"https://{NAME}:{receiver.port}/")
        async with sender_with(LAB, zone({"other.example": ["127.0.0.1"]}), trusting) as sender:
            other = await sender.send(message(f"https://other.example:{receiver.port}/"), datetime.now(UTC))
    assert (stranger.reason, other.reason) == (outcome.TLS_FAILED, outcome.TLS_FAILED)
    assert receiver.requests == []


@pytest.mark.parametrize(
    ("status", "reason", "final"),
    [
        (200, outcome.DELIVERED, True),
        (202, outcome.DELIVERED, True),
        (302, outcome.REFUSED_BY_RECEIVER, False),
        (400, outcome.REFUSED_BY_RECEIVER, False),
        (404, outcome.REFUSED_BY_RECEIVER, False),
        (410, outcome.GONE, True),
        (429, outcome.REFUSED_BY_RECEIVER, False),
        (500, outcome.REFUSED_BY_RECEIVER, False),
    ],
)
async def test_the_status_decides(status: int, reason: str, final: bool) -> None:
    answer = f"HTTP/1.1 {status} X\r\nContent-Length: 6\r\nRetry-After: 90\r\n\r\nsecret".encode()
    async with receiving(answer=answer) as receiver:
        ended = await one(f"http://127.0.0.1:{receiver.port}/")
    assert (ended.reason, ended.final) == (reason, final)
    assert "secret" not in ended.message
    if status in (429, 500):
        assert ended.retry_after == 90


ENDLESS: list[Callable[[], bytes]] = [
    lambda: b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 5_000_000,
    lambda: b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nxyz",
]


@pytest.mark.parametrize("answer", ENDLESS)
async def test_a_body_of_any_size_and_form_changes_nothing_and_is_not_waited_for(answer: Callable[[], bytes]) -> None:
    async with receiving(answer=answer()) as receiver:
        begun = time.monotonic()
        ended = await one(f"http://127.0.0.1:{receiver.port}/")
    assert ended.delivered
    assert time.monotonic() - begun < sending.CONNECT_SECONDS


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_an_answer_that_is_no_http_is_no_delivery(answer: bytes) -> None:
    async with receiving(answer=answer) as receiver:
        assert (await one(f"http://127.0.0.1:{receiver.port}/")).reason == outcome.BAD_ANSWER


async def test_a_receiver_that_says_nothing_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "ATTEMPT_SECONDS", 0.5)
    async with receiving(silent=True) as receiver:
        assert (await one(f"http://127.0.0.1:{receiver.port}/")).reason == outcome.TIMED_OUT


async def test_what_cannot_be_reached_is_tried_again() -> None:
    async with receiving() as receiver:
        port = receiver.port
    unreachable = await one(f"http://127.0.0.1:{port}/")
    unknown = await one("http://nobody.example/")
    dropped_answer = b""
    async with receiving(answer=dropped_answer) as receiver:
        dropped = await one(f"http://127.0.0.1:{receiver.port}/")
    assert [e.reason for e in (unreachable, unknown, dropped)] == ["Unreachable", "Unresolved", "Unreachable"]
    assert not any(e.final for e in (unreachable, unknown, dropped))
