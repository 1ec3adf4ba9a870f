"""The client's address, behind trusted and untrusted proxies."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_api.http.client_address import parse_address, peer_of

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("socket", "forwarded", "expected"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.2.3.4, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("10.0.0.1", ["1.2.3.4", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["10.2.2.2, 10.3.3.3"], "10.2.2.2"),
        ("10.0.0.1", ["198.51.100.1, rubbish, 10.3.3.3"], "10.3.3.3"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("fd00::1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
    ],
)
def test_the_peer_is_the_right_most_hop_that_is_no_trusted_proxy(
    socket: str, forwarded: list[str], expected: str
) -> None:
    assert peer_of(socket, forwarded, PROXIES) == ip_address(expected)


def test_without_a_socket_address_there_is_no_peer() -> None:
    assert peer_of("", ["198.51.100.1"], PROXIES) is None


@given(st.lists(st.text(max_size=20), max_size=3))
def test_nobody_forges_an_address_without_a_trusted_proxy(forwarded: list[str]) -> None:
    assert peer_of("203.0.113.7", forwarded, PROXIES) == ip_address("203.0.113.7")


@given(st.text(max_size=40))
def test_text_is_an_address_or_none(text: str) -> None:
    address = parse_address(text)
    assert address is None or parse_address(str(address)) == address


@given(st.ip_addresses(v=4), st.integers(1, 65535))
def test_addresses_are_read_with_and_without_a_port(address: object, port: int) -> None:
    assert parse_address(str(address)) == parse_address(f"{address}:{port}") == address
