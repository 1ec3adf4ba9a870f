"""A second evaluator of firewall rules, as simple as possible.

It imports nothing of Berth, nor the library with which Berth reads addresses, so that an error there cannot hide here.
A rule is a pair of texts, source in CIDR notation and action.
"""

import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

WrittenRule = tuple[str, str]
BITS = {4: 32, 6: 128}


class Range(NamedTuple):
    """Addresses from ``first`` to ``last``, both included, as numbers, of one IP version."""

    version: int
    first: int
    last: int

    def holds(self, version: int, address: int) -> bool:
        return version == self.version and self.first <= address <= self.last


def number(text: str) -> tuple[int, int]:
    """IP version and value of an address."""
    family, version = (socket.AF_INET6, 6) if ":" in text else (socket.AF_INET, 4)
    return version, int.from_bytes(socket.inet_pton(family, text), "big")


def address(version: int, value: int) -> str:
    """The address with that value."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    return socket.inet_ntop(family, value.to_bytes(BITS[version] // 8, "big"))


def parsed(cidr: str) -> Range:
    """The range that a network in CIDR notation means; a bare address is a network of one."""
    base, _, length = cidr.partition("/")
    version, value = number(base)
    free = BITS[version] - (int(length) if length else BITS[version])
    first = value >> free << free
    return Range(version, first, first + (1 << free) - 1)


def read(rules: Iterable[WrittenRule]) -> list[tuple[Range, str]]:
    """Rules with their sources read once."""
    return [(parsed(source), action) for source, action in rules]


def decided(rules: Iterable[tuple[Range, str]], version: int, value: int) -> str:
    """First match decides, no match drops."""
    for source, action in rules:
        if source.holds(version, value):
            return action
    return "DROP"


def verdict(rules: Iterable[WrittenRule], source: str) -> str:
    """Fate of a packet from that address: ACCEPT, DROP or REJECT."""
    return decided(read(rules), *number(source))


def edges(ranges: Iterable[Range]) -> Iterator[tuple[int, int]]:
    """(version, value) at the edges of every range: one before, first, last, one after; and of both address spaces."""
    points = {(version, end) for version, bits in BITS.items() for end in (0, (1 << bits) - 1)}
    for version, first, last in ranges:
        points |= {(version, point) for point in (first - 1, first, last, last + 1) if 0 <= point < 1 << BITS[version]}
    return iter(sorted(points))


def policy_admits(peers: Sequence[dict[str, dict[str, object]]], version: int, value: int) -> bool:
    """Whether one of a NetworkPolicy's ``ipBlock`` peers holds an address, as the Kubernetes API defines them."""
    for peer in peers:
        block = peer["ipBlock"]
        holes = block.get("except") or []
        assert isinstance(holes, list)
        if parsed(str(block["cidr"])).holds(version, value) and not any(
            parsed(hole).holds(version, value) for hole in holes
        ):
            return True
    return False
