"""Which address is probed for a deployment, and whether the operator connects there at all. Pure.

An owner chooses the address, and the operator reaches what users do not: the API server, metadata services, Berth's own
pods. So probes go to an administrator's networks of machines only, and never to special addresses or to the cluster.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from berth_core.firewall import Network, special
from berth_core.firewall.special import Address
from berth_core.resources import WorkspaceDeployment
from berth_core.resources.workspacedeployment import HttpHealth


@dataclass(frozen=True)
class Networks:
    """Networks that decide where probes go."""

    machines: tuple[Network, ...] = ()
    """Where machines stand, by an administrator's word (``instances.machineCidrs``)."""
    closed: tuple[Network, ...] = ()
    """Networks that stay closed even if they lie in those: the cluster's own, and ``instances.blockedCidrs``."""


@dataclass(frozen=True)
class Target:
    """A probe: an address in its canonical form, a port, and a request; None for a connection alone."""

    host: str
    port: int
    request: HttpHealth | None = None

    @property
    def authority(self) -> str:
        """Address and port as in a URL (RFC 3986)."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        """Name the probe for people."""
        if self.request is None:
            return f"tcp {self.authority}"
        return f"GET {'https' if self.request.tls else 'http'}://{self.authority}{self.request.path}"


class Problem(NamedTuple):
    """Reason why nothing is probed: a word, and a sentence that says what to do."""

    reason: str
    message: str


def machine_address(wd: WorkspaceDeployment) -> str | None:
    """Address of a machine, the first of its first network; None where it has none.

    Raises:
        ValueError: what stands there is no network.

    """
    return str(ip_network(wd.network.addresses[0]).network_address) if wd.network is not None else None


def target_of(wd: WorkspaceDeployment, networks: Networks) -> Target | Problem | None:
    """Return the probe of a deployment, or why there is none; None where none is asked for."""
    health = wd.spec.health
    if health is None:
        return None
    try:
        literal = health.host or machine_address(wd)
        if literal is None:
            return Problem(
                "AddressMissing", "the probe has no address: set spec.machine.network.addresses or spec.health.host"
            )
        address = ip_address(literal)
    except ValueError as error:
        return Problem("AddressMissing", f"the probe has no address, since {error}: write one such as 192.0.2.40")
    if why := why_refused(address, networks):
        return Problem("AddressForbidden", f"{address} is not probed, since {why}")
    port = health.tcp or (health.http.port if health.http is not None else 0)
    return Target(str(address), port, None if health.tcp else health.http)


def why_refused(address: Address, networks: Networks) -> str:
    """Why the operator does not connect to an address, with what to do; empty where it does.

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
