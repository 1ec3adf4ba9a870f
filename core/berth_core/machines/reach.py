"""Which addresses of machines Berth's own processes connect to. Pure.

Somebody else chooses the address, and the processes reach what users do not: the API server, metadata services, Berth's
own pods. So they connect to an administrator's networks of machines only, never to special addresses or the cluster.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network

from berth_core.firewall import Network, special
from berth_core.firewall.special import Address


@dataclass(frozen=True)
class Networks:
    """Networks that decide where connections to machines go."""

    machines: tuple[Network, ...] = ()
    """Where machines stand, by an administrator's word (``instances.machineCidrs``)."""
    closed: tuple[Network, ...] = ()
    """Networks that stay closed even if they lie in those: the cluster's own, and ``instances.blockedCidrs``."""


def why_refused(address: Address, networks: Networks) -> str:
    """Why Berth does not connect to an address, with what to do; empty where it does.

    >>> why_refused(ip_address("127.0.0.1"), Networks((ip_network("0.0.0.0/0"),)))
    'it is loopback: give the machine an address of its own'
    """
    if what := _special(address):
        return f"it is {what}: give the machine an address of its own"
    if special.carried(address) is not None:
        return "it has an IPv4 address inside: write that address itself"
    if not special.within(address, networks.machines):
        return (
            "it is outside of the networks of machines: have an administrator add its network to the value"
            " instances.machineCidrs, or correct the address"
        )
    if special.within(address, networks.closed):
        return "it is in the cluster's own networks or in instances.blockedCidrs: give the machine an address elsewhere"
    return ""


def _special(address: Address) -> str:
    """Kind of an address that no machine has, whatever an administrator names; empty for others."""
    if what := special.never(address):
        return what
    kinds: Iterable[tuple[bool, str]] = (
        (address.is_loopback, "loopback"),
        (address.is_unspecified or special.within(address, (ip_network("0.0.0.0/8"),)), "unspecified"),
        (address.is_link_local or getattr(address, "scope_id", None) is not None, "link-local"),
        (address.is_multicast, "multicast"),
        (special.within(address, (ip_network("240.0.0.0/4"),)), "reserved"),
    )
    return next((what for holds, what in kinds if holds), "")
