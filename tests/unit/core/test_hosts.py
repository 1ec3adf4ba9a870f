"""Texts that are a host's name, an address, or could be taken for either."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core.hosts import address_of


@pytest.mark.parametrize("text", ["192.0.2.7", "169.254.169.254", "2001:db8::7", "::ffff:10.0.0.1"])
def test_an_address_is_read(text: str) -> None:
    assert address_of(text) == ip_address(text)
    assert ":" not in text or address_of(f"[{text}]") == ip_address(text)


@pytest.mark.parametrize(
    "text", ["git.example.org", "git", "example.org.", "10.example", "a.b2", "localhost.example.org"]
)
def test_a_name_has_none(text: str) -> None:
    assert address_of(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "2852039166", "0xa9fea9fe", "0XA9FEA9FE", "127.1", "0", "0x", "0177.0.0.1", "127.0.0.01", "169.254.169.254.",
        "a.0x7f", "1.2.3.4.5", "256.1.1.1", "", ".", "fe80::1%eth0", "[::1", "localhost", "LOCALHOST", "localhost.",
        "api.localhost",
    ],
)  # fmt: skip
def test_what_is_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"another notation|whichever machine"):
        address_of(text)


@given(st.from_regex(r"\A(0[xX][0-9a-fA-F]{0,9}|[0-9]{1,10})(\.(0[xX][0-9a-fA-F]{0,4}|[0-9]{1,4})){0,4}\.?\Z"))
def test_numbers_are_a_plain_address_or_refused(text: str) -> None:
    try:
        found = address_of(text)
    except ValueError:
        return
    assert str(found) == text
