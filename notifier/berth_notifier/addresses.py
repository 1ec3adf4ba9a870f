"""Which addresses a webhook may be sent to. Pure.

Everything but the public unicast space is refused: IPv4 by the networks below, IPv6 by being outside of 2000::/3 or in
one of the networks below (IANA's registries of special-purpose addresses). An IPv6 address that carries an IPv4 address
is refused as a form; where the allow-list has the form, what it carries must be allowed too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_REFUSED_4: Final = tuple(
    (IPv4Network(text), what)
    for text, what in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "private (shared)"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a metadata service"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "special"),
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_REFUSED_6: Final = tuple(
    (IPv6Network(text), what)
    for text, what in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "an IPv4 address in IPv6 form"),
        ("::ffff:0:0:0/96", "an IPv4 address in IPv6 form"),
        ("::/96", "an IPv4 address in IPv6 form"),
        ("64:ff9b::/96", "NAT64"),
        ("64:ff9b:1::/48", "NAT64"),
        ("100::/64", "discarded"),
        ("2001::/32", "Teredo"),
        ("2001::/23", "special"),
        ("2001:db8::/32", "for documentation"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "for documentation"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_PUBLIC_6: Final = IPv6Network("2000::/3")
_LAST_32: Final = 0xFFFFFFFF
_CARRIERS: Final = tuple(
    IPv6Network(text) for text in ("::ffff:0:0/96", "::ffff:0:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48")
)
"""Networks whose last 32 bits are an IPv4 address."""
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})


@dataclass(frozen=True)
class Policy:
    """``allowed`` wins over everything that is refused; ``blocked`` adds the cluster's own networks to that."""

    allowed: tuple[Network, ...] = ()
    blocked: tuple[Network, ...] = ()

    def refusal(self, address: Address) -> str | None:
        """Why nothing may be sent there; None where it may."""
        if isinstance(address, IPv6Address) and address.scope_id is not None:
            return "it has a scope"
        if (what := self._own_refusal(address)) is not None:
            return what
        for carried in _carried(address):
            if (what := self._own_refusal(carried)) is not None:
                return f"it carries an address that is {what}"
        return None

    def _own_refusal(self, address: Address) -> str | None:
        if _within(address, self.allowed):
            return None
        if _within(address, self.blocked):
            return "one of the cluster's own"
        return _special(address)


def networks(words: Iterable[str]) -> tuple[Network, ...]:
    """Read networks in CIDR notation. Raises ValueError."""
    return tuple(ip_network(word) for word in words)


def _within(address: Address, where: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in where)


def _special(address: Address) -> str | None:
    if isinstance(address, IPv4Address):
        return next((what for network, what in _REFUSED_4 if address in network), None)
    if (what := next((what for network, what in _REFUSED_6 if address in network), None)) is not None:
        return what
    if address not in _PUBLIC_6:
        return "no public address"
    return "an ISATAP address" if int(address) >> 32 & _LAST_32 in _ISATAP else None


def _carried(address: Address) -> Iterator[IPv4Address]:
    if isinstance(address, IPv4Address) or address.is_loopback or address.is_unspecified:
        return
    if any(address in network for network in _CARRIERS) or int(address) >> 32 & _LAST_32 in _ISATAP:
        yield IPv4Address(int(address) & _LAST_32)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
