"""Resolves ordered rules to ranges of addresses that do not overlap, each with its action.

A packet filter finds the range of an address in one look-up, however many rules there are.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise

from berth_core.firewall.model import Action, Rule, of_version


@dataclass(frozen=True, slots=True)
class Verdict:
    """Action for packets from the addresses ``first`` to ``last``, both included."""

    version: int
    first: int
    last: int
    action: Action

    @property
    def everything(self) -> bool:
        """Whether it covers all addresses of its IP version."""
        return self.last - self.first == (1 << (32 if self.version == 4 else 128)) - 1

    def __str__(self) -> str:
        address = IPv4Address if self.version == 4 else IPv6Address
        first, last = address(self.first), address(self.last)
        return f"{first}" if first == last else f"{first}-{last}"


def verdicts(rules: Sequence[Rule], version: int) -> list[Verdict]:
    """Return ranges in order, neighbours of one action joined. Addresses that no rule matches are in none."""
    ranges = [(int(rule.source[0]), int(rule.source[-1]), rule.action) for rule in of_version(rules, version)]
    starting: dict[int, list[int]] = {}
    for index, (first, _, _) in enumerate(ranges):
        starting.setdefault(first, []).append(index)
    result: list[Verdict] = []
    covering: list[int] = []
    for low, high in pairwise(sorted({edge for first, last, _ in ranges for edge in (first, last + 1)})):
        for index in starting.get(low, ()):
            heapq.heappush(covering, index)
        while covering and ranges[covering[0]][1] < low:
            heapq.heappop(covering)
        if covering:
            _append(result, Verdict(version, low, high - 1, ranges[covering[0]][2]))
    return result


def _append(result: list[Verdict], new: Verdict) -> None:
    if result and result[-1].last + 1 == new.first and result[-1].action == new.action:
        new = Verdict(new.version, result.pop().first, new.last, new.action)
    result.append(new)
