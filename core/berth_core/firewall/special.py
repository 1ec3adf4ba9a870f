"""Special networks: those that nobody ever reaches, and others that are not public. Pure.

The only such list. NetworkPolicies of workspaces, hooks and builds follow it, rulesets in pods, the notifier's own
check, and its NetworkPolicy in the chart (``make generate``). It has IANA's registries of special-purpose addresses
(RFC 6890 and its updates) and the addresses that clouds document for their metadata services.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

from berth_core.firewall.model import Network

Address = IPv4Address | IPv6Address
_Named = tuple[tuple[Network, str], ...]


def _read(*lines: tuple[str, str]) -> _Named:
    return tuple((ip_network(text), what) for text, what in lines)


NEVER: Final = _read(
    ("100.100.100.200/32", "a metadata service"),
    ("168.63.129.16/32", "a metadata service"),
    ("169.254.0.0/16", "link-local"),
    ("192.0.0.192/32", "a metadata service"),
    # In both, the IPv4 address inside is at no fixed place, so prefixes cannot select it.
    ("64:ff9b:1::/48", "NAT64 of a local prefix"),
    ("2001::/32", "Teredo"),
    ("fd00:42::42/128", "a metadata service"),
    ("fd00:a9fe:a9fe::/48", "a metadata service"),
    ("fd00:c1::a9fe:a9fe/128", "a metadata service"),
    ("fd00:ec2::/32", "a metadata service"),
    ("fd20:ce::254/128", "a metadata service"),
    ("fe80::/10", "link-local"),
)
"""Networks that no pod for users reaches, and the reason."""

NOT_PUBLIC: Final = _read(
    ("0.0.0.0/8", "unspecified"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "private (shared)"),
    ("127.0.0.0/8", "loopback"),
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
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::ffff:0:0/96", "an IPv4 address in IPv6 form"),
    ("::ffff:0:0:0/96", "an IPv4 address in IPv6 form"),
    ("::/96", "an IPv4 address in IPv6 form"),
    ("64:ff9b::/96", "NAT64"),
    ("100::/64", "discarded"),
    ("2001::/23", "special"),
    ("2001:db8::/32", "for documentation"),
    ("2002::/16", "6to4"),
    ("3fff::/20", "for documentation"),
    ("fc00::/7", "private"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
)
"""More networks, which pods reach only where a type or a setting names them, and their purpose."""

PUBLIC: Final[tuple[Network, ...]] = (IPv4Network("0.0.0.0/0"), IPv6Network("2000::/3"))
"""Networks of public addresses, apart from the special networks in them."""

MAPPED: Final = IPv6Network("::ffff:0:0/96")
"""Packets to these addresses leave as IPv4, and are judged as IPv4."""
_CARRIERS: Final = (
    MAPPED,
    *(IPv6Network(text) for text in ("::ffff:0:0:0/96", "::/96", "64:ff9b::/96", "2002::/16")),
)
"""Networks whose addresses have an IPv4 address inside, right behind the prefix."""
_LAST_32: Final = 0xFFFFFFFF
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})


def networks(table: _Named) -> tuple[Network, ...]:
    """Return the networks of a list without their purposes."""
    return tuple(network for network, _ in table)


def within(address: Address, where: Iterable[Network]) -> bool:
    """Whether an address is in one of the networks."""
    return any(address.version == network.version and address in network for network in where)


def never(address: Address) -> str | None:
    """Why nobody ever reaches an address; None where somebody may."""
    return _first(address, NEVER)


def why_not_public(address: Address) -> str | None:
    """Why an address is not public; None where it is."""
    if (what := never(address) or _first(address, NOT_PUBLIC)) is not None:
        return what
    if not within(address, PUBLIC):
        return "no public address"
    return "an ISATAP address" if _is_isatap(address) else None


def carried(address: Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address has inside; None for those that have none.

    >>> carried(IPv6Address("2002:a9fe:a9fe::1"))
    IPv4Address('169.254.169.254')
    """
    if isinstance(address, IPv4Address) or address.is_loopback or address.is_unspecified:
        return None
    for carrier in _CARRIERS:
        if address in carrier:
            return IPv4Address(int(address) >> (96 - carrier.prefixlen) & _LAST_32)
    return IPv4Address(int(address) & _LAST_32) if _is_isatap(address) else None


def forms(network: Network) -> Iterator[IPv6Network]:
    """Yield the IPv6 networks that carry an IPv4 network's addresses inside; not ISATAP, which has no prefix."""
    if isinstance(network, IPv4Network):
        for carrier in _CARRIERS:
            inside = int(network.network_address) << (96 - carrier.prefixlen)
            yield IPv6Network((int(carrier.network_address) | inside, carrier.prefixlen + network.prefixlen))


def may_carry(network: Network) -> bool:
    """Whether addresses of a network have IPv4 addresses inside."""
    return isinstance(network, IPv6Network) and any(network.overlaps(carrier) for carrier in _CARRIERS)


def _first(address: Address, table: _Named) -> str | None:
    return next((what for network, what in table if within(address, (network,))), None)


def _is_isatap(address: Address) -> bool:
    return isinstance(address, IPv6Address) and int(address) >> 32 & _LAST_32 in _ISATAP
