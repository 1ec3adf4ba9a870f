from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core.firewall import Action, Rule, parse_action, parse_source


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        (" 203.0.113.7 ", "203.0.113.7/32"),
        ("203.0.113.7/24", "203.0.113.0/24"),
        ("203.0.113.0/255.255.255.0", "203.0.113.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("1.2.3.4/0", "0.0.0.0/0"),
        ("2001:DB8::1", "2001:db8::1/128"),
        ("2001:db8::1/32", "2001:db8::/32"),
        ("::/0", "::/0"),
        ("::ffff:203.0.113.7", "203.0.113.7/32"),
        ("::ffff:203.0.113.7/120", "203.0.113.0/24"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::ffff:0:0/95", "::fffe:0:0/95"),
    ],
)
def test_what_a_client_may_write_is_understood(written: str, meant: str) -> None:
    assert parse_source(written) == ip_network(meant)


@pytest.mark.parametrize(
    "written",
    ["", "   ", "localhost", "203.0.113", "203.0.113.256", "203.0.113.7/33", "203.0.113.07", "::/129", "fe80::1%eth0",
     "203.0.113.7/24/24", "203.0.113.7-203.0.113.9", "*", "1", "0x7f000001", "203.0.113.7\n/24", "/24", "203.0.113.7/"],
)  # fmt: skip
def test_what_is_no_source_is_refused_by_name(written: str) -> None:
    with pytest.raises(ValueError, match="source"):
        parse_source(written)


@given(st.text(max_size=50))
def test_any_text_is_a_network_or_a_valueerror(text: str) -> None:
    try:
        network = parse_source(text)
    except ValueError:
        return
    assert parse_source(str(network)) == network


@given(st.ip_addresses(), st.integers(0, 128))
def test_host_bits_never_matter(address: IPv4Address | IPv6Address, length: int) -> None:
    length = min(length, address.max_prefixlen)
    network = parse_source(f"{address}/{length}")
    assert network == parse_source(str(network))
    mapped = getattr(address, "ipv4_mapped", None)
    assert (mapped if mapped and length >= 96 else address) in network


def test_actions_are_spelt_in_capitals() -> None:
    assert [parse_action(word) for word in ("ACCEPT", "DROP", "REJECT")] == list(Action)
    for word in ("accept", "ALLOW", "", "ACCEPT "):
        with pytest.raises(ValueError, match="ACCEPT, DROP, REJECT"):
            parse_action(word)


def test_a_rule_reads_both_parts() -> None:
    assert Rule.parse("203.0.113.7", "DROP") == Rule(ip_network("203.0.113.7/32"), Action.DROP)
