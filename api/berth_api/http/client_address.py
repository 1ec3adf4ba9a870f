"""Address of the client, behind trusted proxies too. Pure."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Networks = Sequence[IPv4Network | IPv6Network]


@lru_cache(4096)
def parse_address(text: str) -> Address | None:
    """Read an address, with or without a port; IPv4 in IPv6 form becomes IPv4; None where it is none."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_trusted(address: Address, proxies: Networks) -> bool:
    """Whether the address is one of a trusted proxy."""
    return any(address.version == network.version and address in network for network in proxies)


def peer_of(socket: str, forwarded: Sequence[str], proxies: Networks) -> Address | None:
    """Address of the peer: the socket's, or behind trusted proxies the right-most hop that is no such proxy.

    ``forwarded`` holds the values of the ``X-Forwarded-For`` headers in their order. A hop that is no address ends the
    walk: anybody could have written the hops left of it.
    """
    peer = parse_address(socket)
    if peer is None:
        return None
    hops = [hop for value in forwarded for hop in value.split(",")]
    while hops and is_trusted(peer, proxies):
        hop = parse_address(hops.pop())
        if hop is None:
            break
        peer = hop
    return peer
