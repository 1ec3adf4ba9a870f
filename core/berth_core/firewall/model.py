"""The rules of one instance, as people write them and as the compilers read them."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Self

Network = IPv4Network | IPv6Network

_MAPPED_PREFIX = 96
_MAPPED_BITS = 0xFFFF << 32


class Action(StrEnum):
    """Fate of packets from a rule's source."""

    ACCEPT = "ACCEPT"
    DROP = "DROP"
    """Silence."""
    REJECT = "REJECT"
    """An answer: TCP reset, or ICMP port unreachable for anything else."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a firewall: packets from ``source`` meet ``action``. The first rule that matches decides."""

    source: Network
    action: Action

    @classmethod
    def parse(cls, source: str, action: str) -> Self:
        """Read a rule from text; ValueError says which part is wrong and what to write."""
        return cls(parse_source(source), parse_action(action))


def parse_source(text: str) -> Network:
    """Read an address or a subnet in CIDR notation, IPv4 or IPv6.

    A bare address is a /32 (or /128). Bits behind the prefix length are cleared, as packet filters do, so that
    ``203.0.113.7/24`` is its subnet. IPv4 in IPv6 form (``::ffff:203.0.113.7``) becomes IPv4, since packets
    arrive as that. ValueError otherwise, and for addresses with a zone (``fe80::1%eth0``), which mean nothing
    inside another network namespace.
    """
    word = text.strip()
    suffix = word.partition("/")[2]
    if "%" in word:
        raise ValueError(f"source {text!r} has a zone; write the address without it")
    try:
        network = ip_network(word, strict=False)
    except ValueError as exc:
        raise ValueError(f"source {text!r} is neither an IP address nor a subnet in CIDR notation") from exc
    if suffix not in ("", str(network.prefixlen), str(network.netmask)):
        # /08 and /0.0.0.255 are read otherwise elsewhere.
        raise ValueError(f"source {text!r} has no prefix length such as /{network.prefixlen} behind it")
    return _plain(network)


def parse_network(text: str) -> Network:
    """Read a network as settings name it, without bits behind the prefix length. ValueError otherwise.

    IPv4 in IPv6 form (``::ffff:192.168.7.0/120``) becomes IPv4, as in packets and in the rules for them.
    """
    return _plain(ip_network(text))


def _plain(network: Network) -> Network:
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_PREFIX:
        bits = int(network.network_address)
        if bits >> 32 == _MAPPED_BITS >> 32:
            return IPv4Network((bits & 0xFFFFFFFF, network.prefixlen - _MAPPED_PREFIX))
    return network


def lies_in(inner: Network, outer: Network) -> bool:
    """Whether all addresses of a network are addresses of another one, which may be of the other IP version."""
    # The versions are equal here, which no type can express.
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type] # of one version


def parse_action(text: str) -> Action:
    """Read an action; ValueError for anything but ACCEPT, DROP and REJECT, spelt so."""
    try:
        return Action(text)
    except ValueError as exc:
        raise ValueError(f"action {text!r} is not one of {', '.join(Action)}") from exc


def of_version(rules: Iterable[Rule], version: int) -> list[Rule]:
    """Return the rules whose source has that IP version (4 or 6), in their order."""
    return [rule for rule in rules if rule.source.version == version]
