"""Nothing is sent inside, however the way there is written.

Every case goes through the code that connects, over real sockets where there is one to reach; only the resolver is
ours. Where `{port}` stands, a receiver listens on that port of the loopback address, so a way around would arrive.
"""
# ruff: noqa: RUF001, S104 (look-alikes and the unspecified address are what this is about)

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from berth_core.process.settings import networks
from berth_notifier import outcome
from berth_notifier.addresses import Policy

from .receiver import Receiver, message, receiving, sending, zone

REFUSED_ADDRESSES = [
    # IPv4
    "127.0.0.1",
    "127.1.2.3",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.96.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "169.254.170.2",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.19.255.254",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    # The cluster's own, by value
    "9.9.9.9",
    # IPv6
    "::",
    "::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fd12:3456::1",
    "ff02::1",
    "ff0e::1",
    "100::1",
    "2001:db8::1",
    "3fff::1",
    "2001:2::1",
    "2001:10::1",
    "4000::1",
    "5f00::1",
    "2620:fe::9",
    # IPv4 inside of IPv6
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "::127.0.0.1",
    "::10.0.0.1",
    "::8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::808:808",
    "64:ff9b:1::7f00:1",
    "64:ff9b:1:fffe::a00:1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "2002:808:808::1",
    "2001:0:7f00:1::80ff:fefe",
    "2001::f5ff:fffe",
    "2600:1::5efe:7f00:1",
    "2600:1::200:5efe:a00:1",
]
BLOCKED = Policy(blocked=networks("9.9.9.0/24,2620:fe::/48"))

REFUSED_URLS = [
    # One number, hexadecimal, octal, short
    "http://2130706433:{port}/",
    "http://017700000001:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.0.0.1:{port}/",
    "http://0x7f.0x0.0x0.0x1:{port}/",
    "http://0X7F.0.0.1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0177.0000.0000.0001:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://127.0.0.01:{port}/",
    "http://127.0.0.0x1:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://127.0.0.256:{port}/",
    "http://0:{port}/",
    "http://0x:{port}/",
    "http://a.0x7f:{port}/",
    "http://4294967297:{port}/",
    "http://18446744071562067969:{port}/",
    # Other scripts and encodings
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://１２７.０.０.１:{port}/",
    "http://127。0。0。1:{port}/",
    "http://%31%32%37.0.0.1:{port}/",
    "http://127.0.0.1%2f:{port}/",
    "http://127.0.0.1%00.example.org:{port}/",
    "http://loc\u00adalhost:{port}/",
    "http://ⓛocalhost:{port}/",
    # Names with dots at the end, and none
    "http://loopback.example.:{port}/",
    "http://loopback.example..:{port}/",
    "http://.loopback.example:{port}/",
    "http://loopback..example:{port}/",
    "http://:{port}/",
    "http:///x",
    "http://",
    # User names, and what programs take for hosts in different ways
    "http://user@127.0.0.1:{port}/",
    "http://user:secret@example.org:{port}/",
    "http://example.org@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}@example.org/",
    "http://example.org:80@127.0.0.1:{port}/",
    "http://example.org\\@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@example.org/",
    "http:\\\\127.0.0.1:{port}\\",
    "http://example.org\t.127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\r\nHost: example.org/",
    "http://127.0.0.1 :{port}/",
    " http://127.0.0.1:{port}/",
    "http://example.org/\r\nX: y",
    "http://a;b@127.0.0.1:{port}/",
    "http://-a.example:{port}/",
    "http://a_.ex*mple:{port}/",
    # IPv6 in brackets
    "http://[::1%25lo]:{port}/",
    "http://[::1%lo]:{port}/",
    "http://[::1:{port}/",
    "http://::1:{port}/",
    "http://[127.0.0.1]:{port}/",
    "http://[::ffff:127.0.0.1.]:{port}/",
    "http://[]:{port}/",
    "http://[v1.a]:{port}/",
    # Ports
    "http://example.org:0/",
    "http://example.org:22/",
    "http://example.org:25/",
    "http://example.org:445/",
    "http://example.org:65536/",
    "http://example.org:99999/",
    "http://example.org:/",
    "http://example.org:+80/",
    "http://example.org:８０/",
    "http://example.org:80:80/",
    # Other schemes
    "ftp://127.0.0.1:{port}/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/",
    "unix:///run/x.sock",
    "httpx://127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "http:127.0.0.1:{port}/",
]


def test_there_are_many_cases() -> None:
    assert len(set(REFUSED_ADDRESSES)) + len(set(REFUSED_URLS)) >= 80


@pytest.fixture
async def inside() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


async def attempt(url: str, addresses: list[str] | None = None, policy: Policy = BLOCKED) -> outcome.Outcome:
    everywhere = {name: addresses or ["127.0.0.1"] for name in ("loopback.example", "example.org", "localhost")}
    async with sending(policy, zone(everywhere)) as sender:
        # The resource's own pattern lets most of these in; what is refused must not depend on it.
        spec = message("http://example.org/").model_copy(update={"url": url})
        return await sender.send(spec, datetime.now(UTC))


@pytest.mark.parametrize("url", REFUSED_URLS)
async def test_a_url_that_can_be_read_in_two_ways_is_given_up(url: str, inside: Receiver) -> None:
    ended = await attempt(url.replace("{port}", str(inside.port)))
    assert (ended.reason, ended.final) == (outcome.URL_REFUSED, True)
    assert inside.connections == 0


@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
async def test_an_address_inside_is_refused(address: str, inside: Receiver) -> None:
    host = f"[{address}]" if ":" in address else address
    ended = await attempt(f"http://{host}:{inside.port}/")
    assert ended.reason == outcome.ADDRESS_REFUSED
    assert inside.connections == 0


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
async def test_a_name_that_leads_inside_is_refused(address: str, scheme: str, inside: Receiver) -> None:
    ended = await attempt(f"{scheme}://example.org:{inside.port}/", [address])
    assert ended.reason == outcome.ADDRESS_REFUSED
    assert inside.connections == 0


@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
@pytest.mark.parametrize("first", [True, False])
async def test_one_address_inside_refuses_a_name_whatever_else_it_has(
    address: str, first: bool, inside: Receiver
) -> None:
    mixed = [address, "8.8.8.8"] if first else ["8.8.8.8", address]
    assert (await attempt(f"http://example.org:{inside.port}/", mixed)).reason == outcome.ADDRESS_REFUSED


async def test_a_name_that_changes_its_mind_is_asked_once_for_each_attempt_and_checked_each_time() -> None:
    answers = [["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1"]]
    asked = 0

    async def lookup(_: str) -> list[str]:
        nonlocal asked
        asked += 1
        return answers[asked - 1]

    only = Policy(allowed=networks("127.0.0.1/32"))
    async with receiving("0.0.0.0") as inside, sending(only, lookup) as sender:
        spec = message(f"http://rebinding.example:{inside.port}/")
        ends = [(await sender.send(spec, datetime.now(UTC))).reason for _ in answers]
    assert ends == [outcome.DELIVERED, outcome.ADDRESS_REFUSED, outcome.DELIVERED]
    assert asked == inside.connections + 1 == 3


async def test_a_form_that_is_allowed_is_no_way_to_what_is_not() -> None:
    nat64 = Policy(allowed=networks("64:ff9b::/96"))
    for address in ("64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe"):
        assert (await attempt("http://example.org/", [address], nat64)).reason == outcome.ADDRESS_REFUSED


@pytest.mark.parametrize(("status", "location"), [(301, "/x"), (302, "/x"), (303, "/x"), (307, "/x"), (308, "/x")])
async def test_a_redirect_leads_nowhere(status: int, location: str, inside: Receiver) -> None:
    where = f"http://127.0.0.1:{inside.port}{location}"
    answer = f"HTTP/1.1 {status} Moved\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode()
    allowed = Policy(allowed=networks("127.0.0.0/8"))
    async with receiving(answer=answer) as redirecting:
        ended = await attempt(f"http://127.0.0.1:{redirecting.port}/", policy=allowed)
    assert (ended.reason, ended.final) == (outcome.REFUSED_BY_RECEIVER, False)
    assert (redirecting.connections, inside.connections) == (1, 0)


async def test_the_environment_names_no_proxy(inside: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{inside.port}")
    ended = await attempt("http://example.org/", ["10.0.0.1"])
    assert ended.reason == outcome.ADDRESS_REFUSED
    assert inside.connections == 0
