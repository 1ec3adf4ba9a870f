"""Compiled sets against the plainest evaluator there is, at the edges of every range."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_network
from typing import Any

import pytest
from amount import share
from hypothesis import given, settings
from hypothesis import strategies as st

from berth_core.firewall import Action, IPBlock, Network, Rule, accepted_set, ip_blocks

from .strategies import rules

pytestmark = pytest.mark.thorough

Address = IPv4Address | IPv6Address
ADDRESS: dict[int, type[IPv4Address] | type[IPv6Address]] = {4: IPv4Address, 6: IPv6Address}
BITS = {4: 32, 6: 128}


def accepts(ruleset: list[Rule], address: Address) -> bool:
    """First match decides; no match drops."""
    for rule in ruleset:
        if rule.source.version == address.version and address in rule.source:
            return rule.action is Action.ACCEPT
    return False


def edges(ruleset: list[Rule]) -> Iterator[Address]:
    """First and last address of every source, their neighbours, and the ends of both address spaces."""
    for version in (4, 6):
        points = {0, 2 ** BITS[version] - 1}
        for rule in ruleset:
            if rule.source.version == version:
                first, last = int(rule.source.network_address), int(rule.source.broadcast_address)
                points |= {first - 1, first, first + 1, last - 1, last, last + 1, (first + last) // 2}
        yield from (ADDRESS[version](point) for point in points if 0 <= point < 2 ** BITS[version])


def within(networks: Iterable[Network], address: Address) -> bool:
    return any(address.version == network.version and address in network for network in networks)


@given(rules())
@settings(max_examples=share(400))
def test_the_set_holds_exactly_what_is_accepted(ruleset: list[Rule]) -> None:
    compiled = accepted_set(ruleset)
    for address in edges(ruleset):
        assert within(compiled, address) == accepts(ruleset, address), address


@given(rules())
@settings(max_examples=share(400))
def test_the_set_is_minimal_sorted_and_apart(ruleset: list[Rule]) -> None:
    compiled = accepted_set(ruleset)
    for version in (4, 6):
        mine: list[Any] = [network for network in compiled if network.version == version]
        assert mine == list(collapse_addresses(mine))
    assert compiled == sorted(compiled, key=lambda n: (n.version, int(n.network_address)))


@given(rules())
@settings(max_examples=share(400))
def test_the_blocks_say_the_same_as_the_set(ruleset: list[Rule]) -> None:
    blocks = ip_blocks(ruleset)
    for block in blocks:
        for hole in block.except_:
            assert within([block.cidr], hole.network_address)
            assert hole.prefixlen > block.cidr.prefixlen
    for address in edges(ruleset):
        matched = any(within([b.cidr], address) and not within(b.except_, address) for b in blocks)
        assert matched == accepts(ruleset, address), address


@given(rules())
@settings(max_examples=share(200))
def test_the_blocks_are_never_more_than_the_set(ruleset: list[Rule]) -> None:
    assert sum(1 + len(block.except_) for block in ip_blocks(ruleset)) <= len(accepted_set(ruleset))


@given(st.lists(st.booleans(), min_size=16, max_size=16))
@settings(max_examples=60)
def test_the_blocks_are_as_few_as_a_search_finds(wanted: list[bool]) -> None:
    """Every pattern over sixteen addresses, against a plain recursion over all prefixes."""
    ruleset = [Rule(IPv4Network((0xC0000200 + n, 32)), Action.ACCEPT) for n, yes in enumerate(wanted) if yes]

    def cheapest(low: int, high: int, inside: bool) -> int:
        if all(wanted[low:high]):
            return 0 if inside else 1
        if not any(wanted[low:high]):
            return 1 if inside else 0
        middle = (low + high) // 2
        plain = {s: cheapest(low, middle, s) + cheapest(middle, high, s) for s in (False, True)}
        return min(plain[inside], 1 + plain[not inside])

    assert sum(1 + len(block.except_) for block in ip_blocks(ruleset)) == cheapest(0, 16, False)


def test_an_exception_stays_an_exception() -> None:
    ruleset = [
        Rule.parse("203.0.113.7", "DROP"),
        Rule.parse("203.0.113.9", "REJECT"),
        Rule.parse("0.0.0.0/0", "ACCEPT"),
    ]
    holes = (ip_network("203.0.113.7/32"), ip_network("203.0.113.9/32"))
    assert ip_blocks(ruleset) == [IPBlock(ip_network("0.0.0.0/0"), holes)]


def test_an_accepted_island_in_a_hole_is_a_block_of_its_own() -> None:
    ruleset = [
        Rule.parse("10.1.2.3", "ACCEPT"),
        Rule.parse("10.0.0.0/8", "DROP"),
        Rule.parse("0.0.0.0/0", "ACCEPT"),
    ]
    assert ip_blocks(ruleset) == [
        IPBlock(ip_network("0.0.0.0/0"), (ip_network("10.0.0.0/8"),)),
        IPBlock(ip_network("10.1.2.3/32")),
    ]


def test_halves_join() -> None:
    ruleset = [Rule.parse("203.0.113.0/25", "ACCEPT"), Rule.parse("203.0.113.128/25", "ACCEPT")]
    assert accepted_set(ruleset) == [ip_network("203.0.113.0/24")]


def test_other_actions_can_be_asked_for() -> None:
    ruleset = [Rule.parse("203.0.113.7", "REJECT"), Rule.parse("203.0.113.0/31", "ACCEPT")]
    assert accepted_set(ruleset, {Action.REJECT}) == [ip_network("203.0.113.7/32")]


def test_no_rules_accept_nothing() -> None:
    assert accepted_set([]) == []
    assert ip_blocks([]) == []


@pytest.mark.parametrize("version", [4, 6])
def test_two_hundred_rules_take_no_time(version: int) -> None:
    """The bound is 20 ms of a processor, the best of five. The worst case for size is left out."""
    seed = random.Random(5)  # noqa: S311 (repeatable on purpose)
    network: type[IPv4Network] | type[IPv6Network] = IPv4Network if version == 4 else IPv6Network
    bits = BITS[version]
    ruleset = []
    for _ in range(200):
        length = seed.randrange(bits // 4, bits + 1)
        first = seed.getrandbits(bits) >> (bits - length) << (bits - length)
        ruleset.append(Rule(network((first, length)), seed.choice(list(Action))))

    def took(function: Callable[[list[Rule]], object]) -> float:
        began = time.thread_time()
        function(ruleset)
        return time.thread_time() - began

    for function in (accepted_set, ip_blocks):
        assert min(took(function) for _ in range(5)) < 0.02
