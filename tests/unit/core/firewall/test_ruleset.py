from collections.abc import Sequence
from hashlib import sha256
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core.firewall import (
    Ports,
    Rule,
    Tunnel,
    closed_ruleset,
    compile_ruleset,
    digest_of,
    parse_source,
    ruleset_body,
    stamp,
)

from .strategies import rules

HEAD = "table inet berth\ndelete table inet berth\ntable inet berth {\n"


def chain(text: str, name: str) -> list[str]:
    """Lines of one chain."""
    body = text.split(f"\tchain {name} {{\n")[1].split("\t}\n")[0]
    return [line.strip() for line in body.splitlines()]


def sources(*written: tuple[str, str]) -> list[str]:
    text = compile_ruleset([Rule.parse(*rule) for rule in written], epoch=1, generation=1)
    return chain(text, "sources")


def test_the_first_match_is_worked_out_for_every_address() -> None:
    assert sources(
        ("203.0.113.7", "ACCEPT"), ("203.0.113.0/24", "DROP"), ("203.0.112.0/23", "REJECT"), ("203.0.113.9", "ACCEPT")
    ) == [
        "ip saddr vmap { 203.0.112.0-203.0.112.255 : goto refuse, 203.0.113.0-203.0.113.6 : drop,"
        " 203.0.113.7 : accept, 203.0.113.8-203.0.113.255 : drop }"
    ]


def test_neighbours_that_meet_the_same_are_one_range() -> None:
    assert sources(("203.0.113.9", "ACCEPT"), ("203.0.113.8", "ACCEPT"), ("10.0.0.1", "ACCEPT")) == [
        "ip saddr vmap { 10.0.0.1 : accept, 203.0.113.8-203.0.113.9 : accept }"
    ]


def test_each_ip_version_has_its_own_line() -> None:
    assert sources(("2001:db8::1", "DROP"), ("203.0.113.7", "ACCEPT"), ("::/0", "ACCEPT"), ("0.0.0.0/0", "DROP")) == [
        "ip saddr vmap { 0.0.0.0-203.0.113.6 : drop, 203.0.113.7 : accept, 203.0.113.8-255.255.255.255 : drop }",
        "ip6 saddr vmap { ::-2001:db8:: : accept, 2001:db8::1 : drop,"
        " 2001:db8::2-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff : accept }",
    ]


def test_what_all_addresses_meet_needs_no_map() -> None:
    assert sources(("0.0.0.0/0", "DROP"), ("::/1", "REJECT"), ("8000::/1", "REJECT"), ("203.0.113.7", "ACCEPT")) == [
        "meta nfproto ipv4 drop",
        "meta nfproto ipv6 goto refuse",
    ]


def test_replies_are_judged_by_the_same_rules_and_end_in_silence() -> None:
    text = compile_ruleset([Rule.parse("203.0.113.7", "ACCEPT"), Rule.parse("::/0", "REJECT")], epoch=1, generation=1)
    assert chain(text, "peers") == [
        "ct original ip saddr vmap { 203.0.113.7 : accept }",
        "meta nfproto ipv6 goto answer",
        "drop",
    ]


@pytest.mark.parametrize("hook", ["input", "forward"])
def test_what_no_line_accepts_is_dropped(hook: str) -> None:
    assert chain(closed_ruleset(1), hook)[0].endswith("policy drop;")


def test_nothing_accepts_established_connections_in_their_original_direction() -> None:
    lines = [line for line in chain(compile_ruleset([], epoch=1, generation=1), "input") if "established" in line]
    assert lines == ["ct direction reply ct state { established, related } accept"]


def test_the_path_check_is_for_the_operators_sources_only() -> None:
    operator = [parse_source("198.51.100.1"), parse_source("2001:db8::1")]
    text = compile_ruleset([], epoch=1, generation=1, operator_sources=operator)
    assert chain(text, "path") == [
        "ip saddr { 198.51.100.1/32 } reject with icmpx type admin-prohibited",
        "ip6 saddr { 2001:db8::1/128 } reject with icmpx type admin-prohibited",
    ]
    assert chain(closed_ruleset(1), "path") == []


def test_ports_can_be_others() -> None:
    text = closed_ruleset(1, ports=Ports(agent=9999, ssh=2222))
    assert "tcp dport 9999 accept" in chain(text, "input")
    assert "tcp dport 2222 tcp flags & (fin | syn | rst | ack) == syn jump path" in chain(text, "input")
    assert "8470" not in text


@given(rules(), st.integers(0, 2**40), st.integers(0, 2**40))
def test_the_comment_says_what_the_ruleset_is(ruleset: Sequence[Rule], epoch: int, generation: int) -> None:
    text = compile_ruleset(ruleset, epoch=epoch, generation=generation)
    body = ruleset_body(ruleset)
    digest = sha256(body.encode()).hexdigest()
    comment = f'\tcomment "berth e{epoch} g{generation} {digest}"\n'
    assert text == HEAD + comment + body.removeprefix(HEAD) == stamp(body, epoch, generation)
    assert digest_of(text) == digest_of(body) == digest
    assert len(comment) < 128  # what the kernel's library takes


@given(rules(), rules())
def test_other_rules_have_another_digest_unless_they_mean_the_same_text(one: list[Rule], two: list[Rule]) -> None:
    assert (digest_of(ruleset_body(one)) == digest_of(ruleset_body(two))) == (ruleset_body(one) == ruleset_body(two))


def test_closed_is_generation_zero_without_rules() -> None:
    assert closed_ruleset(3) == compile_ruleset([], epoch=3, generation=0)


def test_a_tunnels_clients_get_to_everything_but_the_agent_and_others_cannot_pass_for_them() -> None:
    tunnel = Tunnel("berth-vpn", IPv4Network("10.92.0.0/22"))
    body = ruleset_body((), tunnel=tunnel)
    incoming, outgoing = chain(body, "input"), chain(body, "output")
    refused = incoming.index('iifname "berth-vpn" tcp dport 8470 reject with tcp reset')
    assert refused < incoming.index("tcp dport 8470 accept")
    assert incoming.index('iifname "berth-vpn" ip saddr 10.92.0.0/22 accept') == refused + 1
    assert incoming.index('iifname "berth-vpn" drop') == refused + 2
    assert outgoing.index('oifname "berth-vpn" ip daddr 10.92.0.0/22 accept') < outgoing.index(
        "ct direction reply goto peers"
    )
    assert "berth-vpn" not in ruleset_body(())
