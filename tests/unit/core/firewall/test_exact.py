"""Compiled rules are equivalent to their source: random lists against an evaluator that knows nothing of Berth.

There are 10,000 in `make test-all`, a quarter in `make test`. They are drawn from few prefixes, so that they nest,
overlap, repeat and touch; each is tried at the edges of every range in it, and of every range that was compiled from
it. FIREWALL_SEED chooses other lists.
"""

import itertools
import os
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import reference
from amount import share
from reference import Range, WrittenRule

from berth_core.firewall import IPBlock, Rule, accepted_set, ip_blocks, network_policy, ruleset_body

from .test_networkpolicy import REQUEST

pytestmark = pytest.mark.thorough

SEED = int(os.environ.get("FIREWALL_SEED") or 20261125)
PARTS, LISTS = 10, share(1000)
TOPS = {4: 0xCB007100, 6: 0x20010DB8 << 96}
MAP = re.compile(r"(?:ct original )?(?P<family>ip6?) saddr vmap \{ (?P<elements>[^}]*) \}")
ALL = re.compile(r"meta nfproto (?P<version>ipv[46]) (?P<do>.*)")
MEANS = {"accept": "ACCEPT", "drop": "DROP", "goto refuse": "REJECT", "goto answer": "REJECT"}


def drawn(dice: random.Random) -> list[WrittenRule]:
    """A list of rules: mostly short, at times long, of one IP version or both."""
    versions = dice.choice(((4,), (6,), (4, 6)))
    longest = dice.choice((3, 6, 6, 12, 12, 30))
    return [one_rule(dice, dice.choice(versions)) for _ in range(dice.randint(0, longest))]


def one_rule(dice: random.Random, version: int) -> WrittenRule:
    bits = reference.BITS[version]
    length = dice.choice((dice.randint(0, bits), dice.randint(bits - 6, bits), dice.randint(bits - 12, bits - 4)))
    near = dice.random() < 0.8
    value = TOPS[version] | dice.getrandbits(6) | dice.getrandbits(2) << 8 if near else dice.getrandbits(bits)
    first = value >> (bits - length) << (bits - length)
    return f"{reference.address(version, first)}/{length}", dice.choice(("ACCEPT", "ACCEPT", "DROP", "REJECT"))


def chain(text: str, name: str) -> list[tuple[Range, str]]:
    """One chain of a ruleset's text, as ranges of addresses and what becomes of them."""
    found: list[tuple[Range, str]] = []
    for line in text.split(f"\tchain {name} {{\n")[1].split("\t}\n")[0].splitlines():
        if line.strip() == "drop":
            break
        if match := ALL.fullmatch(line.strip()):
            every = {"ipv4": "0.0.0.0/0", "ipv6": "::/0"}[match["version"]]
            found.append((reference.parsed(every), MEANS[match["do"]]))
            continue
        match = MAP.fullmatch(line.strip())
        assert match, line
        for element in match["elements"].split(", "):
            addresses, _, verdict = element.partition(" : ")
            first, _, last = addresses.partition("-")
            assert (":" in first) == (match["family"] == "ip6"), line
            found.append((between(first, last or first), MEANS[verdict]))
    return found


def between(first: str, last: str) -> Range:
    """Range from one address to another one, both included."""
    low, high = reference.parsed(first), reference.parsed(last)
    return Range(low.version, low.first, high.last)


def apart(judged: Sequence[tuple[Range, str]]) -> bool:
    """Whether the ranges of each IP version stand in order and none in another: the kernel takes no others."""
    return all(
        one.version != next_.version or one.last < next_.first for (one, _), (next_, _) in itertools.pairwise(judged)
    )


def policy_ranges(peers: Sequence[Any]) -> Iterator[Range]:
    for peer in peers:
        yield reference.parsed(peer["ipBlock"]["cidr"])
        yield from map(reference.parsed, peer["ipBlock"].get("except", ()))


@pytest.mark.parametrize("part", range(PARTS))
def test_policy_and_ruleset_say_what_the_first_match_says(part: int) -> None:
    dice = random.Random(SEED + part)  # noqa: S311 (repeatable on purpose)
    print(f"FIREWALL_SEED={SEED}, part {part}")  # noqa: T201 (shown where it fails)
    for _ in range(LISTS):
        written = drawn(dice)
        rules = [Rule.parse(*rule) for rule in written]
        meant = reference.read(written)
        entries = network_policy(replace(REQUEST, rules=rules))["spec"]["ingress"]
        peers = entries[0]["from"] if len(entries) == 2 else []
        text = ruleset_body(rules)
        chains = {name: chain(text, name) for name in ("sources", "peers")}
        assert all(map(apart, chains.values())), written
        compiled = [source for source, _ in itertools.chain(*chains.values())]
        ranges = [source for source, _ in meant] + compiled + list(policy_ranges(peers))
        for version, value in reference.edges(ranges):
            wanted = reference.decided(meant, version, value)
            where = (reference.address(version, value), written)
            assert reference.policy_admits(peers, version, value) == (wanted == "ACCEPT"), where
            for judged in chains.values():
                assert reference.decided(judged, version, value) == wanted, where


@pytest.mark.parametrize("part", range(2))
def test_the_sets_are_the_smallest_on_the_same_lists(part: int) -> None:
    """Against a plain recursion over halves: a half costs what both its halves cost, or one CIDR more to turn over."""
    dice = random.Random(SEED + 100 + part)  # noqa: S311 (repeatable on purpose)
    for _ in range(LISTS // 2):
        written = drawn(dice)
        rules, meant = [Rule.parse(*rule) for rule in written], reference.read(written)
        few, fewest = 0, 0
        for version in (4, 6):
            mine = [rule for rule in meant if rule[0].version == version]
            whole, outside, _ = costs(mine, version, 0, reference.BITS[version])
            few, fewest = few + whole, fewest + outside
        assert len(accepted_set(rules)) == few, written
        assert size(ip_blocks(rules)) == fewest, written


def costs(rules: list[tuple[Range, str]], version: int, first: int, free: int) -> tuple[int, int, int]:
    """Of a prefix: networks that hold just what is accepted; CIDRs to add outside of a block; CIDRs to add in one."""
    last = first + (1 << free) - 1
    mine = [rule for rule in rules if rule[0].first <= last and rule[0].last >= first]
    if all(source.first <= first and source.last >= last for source, _ in mine):
        yes = reference.decided(mine, version, first) == "ACCEPT"
        return (1, 1, 0) if yes else (0, 0, 1)
    halves = [costs(mine, version, start, free - 1) for start in (first, first + (1 << (free - 1)))]
    whole, outside, inside = (a + b for a, b in zip(*halves, strict=True))
    full = all(a == 1 and b == 0 for a, _, b in halves) and whole == 2
    return (1 if full else whole), min(outside, inside + 1), min(inside, outside + 1)


def size(blocks: Sequence[IPBlock]) -> int:
    return sum(1 + len(block.except_) for block in blocks)


def test_no_set_of_blocks_at_all_is_smaller() -> None:
    """Every pattern over eight addresses, against every union of blocks that there is."""
    prefixes = [
        sum(1 << bit for bit in range(low, low + width)) for width in (8, 4, 2, 1) for low in range(0, 8, width)
    ]
    masks: dict[int, int] = {}
    for cidr in prefixes:
        inner = [prefix for prefix in prefixes if prefix & cidr == prefix and prefix != cidr]
        cuts = {0: 0}
        for hole in inner:
            for cut, cost in list(cuts.items()):
                cuts[cut | hole] = min(cuts.get(cut | hole, 99), cost + 1)
        for cut, cost in cuts.items():
            masks[cidr & ~cut] = min(masks.get(cidr & ~cut, 99), 1 + cost)
    best = {0: 0}
    for total in range(1, 9):
        reached = {
            union | mask for union, spent in best.items() for mask, cost in masks.items() if spent + cost == total
        }
        best.update({union: total for union in reached if union not in best})
    assert len(best) == 256
    for pattern, fewest in best.items():
        rules = [Rule.parse(f"192.0.2.{bit}", "ACCEPT") for bit in range(8) if pattern >> bit & 1]
        assert size(ip_blocks(rules)) == fewest, bin(pattern)
