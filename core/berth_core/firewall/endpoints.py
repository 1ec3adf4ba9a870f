"""Addresses and ports of a machine, and the networks where machines stand."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from berth_core.firewall.model import Network

Protocol = Literal["TCP", "UDP"]


@dataclass(frozen=True, slots=True, order=True)
class PortRange:
    """Ports ``first`` to ``last``, both included, of one protocol."""

    protocol: Protocol
    first: int
    last: int

    def overlaps(self, other: "PortRange") -> bool:
        """Whether both have a port of one protocol in common."""
        return self.protocol == other.protocol and self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Parts of a machine that its lease reaches. Without ``ports`` all of them, of every protocol."""

    networks: tuple[Network, ...]
    ports: tuple[PortRange, ...] = ()

    def overlaps(self, other: "Endpoints") -> bool:
        """Whether an address and a port belong to both."""
        if not any(one.version == two.version and one.overlaps(two) for one in self.networks for two in other.networks):
            return False
        if not self.ports or not other.ports:
            return True
        return any(one.overlaps(two) for one in self.ports for two in other.ports)

    def common(self, other: "Endpoints") -> "Endpoints | None":
        """Return the addresses and ports of both; None where there are none."""
        if not self.overlaps(other):
            return None
        pairs = [(one, two) for one in self.networks for two in other.networks if one.version == two.version]
        networks = {max(pair, key=lambda one: one.prefixlen) for pair in pairs if pair[0].overlaps(pair[1])}
        ports = {
            PortRange(one.protocol, max(one.first, two.first), min(one.last, two.last))
            for one in self.ports
            for two in other.ports
            if one.overlaps(two)
        }
        return Endpoints(tuple(networks), tuple(ports or self.ports or other.ports))


@dataclass(frozen=True, slots=True)
class Machines:
    """The networks where machines stand, as one pod sees them.

    Nobody reaches ``networks``, but for what ``opened`` has, and for DNS at ``resolvers``. ``inbound`` are ports of
    the pod to which the addresses of ``opened`` may connect.
    """

    networks: tuple[Network, ...] = ()
    opened: Endpoints | None = None
    resolvers: tuple[Network, ...] = ()
    inbound: tuple[PortRange, ...] = ()


NO_MACHINES: Final = Machines()
"""Of a cluster in which no network of machines is named."""


def merged(ports: Iterable[PortRange]) -> list[PortRange]:
    """Return the fewest ranges with the same ports, sorted: nftables refuses a set whose ranges overlap."""
    result: list[PortRange] = []
    for one in sorted(ports):
        if result and result[-1].protocol == one.protocol and one.first <= result[-1].last + 1:
            before = result.pop()
            one = PortRange(one.protocol, before.first, max(before.last, one.last))
        result.append(one)
    return result


def endpoint_rules(endpoints: Endpoints | None, ip_versions: frozenset[int]) -> list[dict[str, Any]]:
    """Entries of a NetworkPolicy's egress that open endpoints, and nothing else."""
    return _rules("to", endpoints.networks, endpoints.ports, ip_versions) if endpoints is not None else []


def inbound_rules(machine: Machines, ip_versions: frozenset[int]) -> list[dict[str, Any]]:
    """Entries of a NetworkPolicy's ingress that let a machine in at its inbound ports, and nobody else."""
    if machine.opened is None or not machine.inbound:
        return []  # an entry without ports would mean all
    return _rules("from", machine.opened.networks, machine.inbound, ip_versions)


def _rules(
    side: str, networks: Sequence[Network], ports: Sequence[PortRange], ip_versions: frozenset[int]
) -> list[dict[str, Any]]:
    peers = [{"ipBlock": {"cidr": str(network)}} for network in networks if network.version in ip_versions]
    if not peers:
        return []  # an entry without peers would mean everybody
    return [{side: peers, **({"ports": [_port(one) for one in merged(ports)]} if ports else {})}]


def port_matches(ports: Sequence[PortRange], field: str = "dport") -> Iterator[str]:
    """Yield nftables matches of the ports, in ``field``; one that matches everything where there are none."""
    if not ports:
        yield ""
        return
    ranges = merged(ports)
    for protocol in ("TCP", "UDP"):
        if own := [one for one in ranges if one.protocol == protocol]:
            texts = (f"{one.first}-{one.last}" if one.last > one.first else str(one.first) for one in own)
            yield f"{protocol.lower()} {field} {{ {', '.join(texts)} }} "


def _port(one: PortRange) -> dict[str, Any]:
    port: dict[str, Any] = {"protocol": one.protocol, "port": one.first}
    return port | {"endPort": one.last} if one.last > one.first else port
