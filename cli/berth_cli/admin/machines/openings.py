"""Parts of machines that NetworkPolicies open, and a router's rule for all that Berth does not hold. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_network
from typing import Any, Final

from berth_core.firewall import Action, Endpoints, Network, PortRange, Rule, accepted_set, lies_in, parse_source
from berth_core.kube.types import Object

EVERYTHING: Final = (ip_network("0.0.0.0/0"), ip_network("::/0"))
SHOWN: Final = 8
DNS: Final = frozenset({PortRange("TCP", 53, 53), PortRange("UDP", 53, 53)})


def entries(policy: Object) -> list[Object]:
    """Return what a NetworkPolicy opens for pods towards others."""
    return list(policy["spec"].get("egress") or ())


def opened(entry: Object) -> Endpoints:
    """Return what an entry opens, apart from pods that it names by labels.

    An entry without peers opens all addresses. One with a port by name, or of another protocol, counts as all ports.
    """
    peers = entry.get("to") or ()
    networks = [network for peer in peers if "ipBlock" in peer for network in _block(peer["ipBlock"])]
    return Endpoints(tuple(networks) if peers else EVERYTHING, _ports(entry.get("ports") or ()))


def opens(policy: Object, endpoints: Endpoints) -> bool:
    """Whether a NetworkPolicy opens any part of some endpoints."""
    return any(opened(entry).overlaps(endpoints) for entry in entries(policy))


def within(endpoints: Endpoints, networks: Sequence[Network]) -> Endpoints | None:
    """Return the part of some endpoints that lies in networks; None where there is none."""
    pairs = [(one, other) for one in endpoints.networks for other in networks]
    parts = [
        one if lies_in(one, other) else other for one, other in pairs if lies_in(one, other) or lies_in(other, one)
    ]
    return Endpoints(tuple(dict.fromkeys(parts)), endpoints.ports) if parts else None


def is_dns(entry: Object, resolvers: Sequence[Network]) -> bool:
    """Whether an entry opens port 53 of resolvers, and nothing else."""
    what = opened(entry)
    inside = all(any(lies_in(one, other) for other in resolvers) for one in what.networks)
    return inside and bool(what.ports) and DNS.issuperset(what.ports)


def router_rules(machine: Iterable[Network], cluster: Iterable[Network]) -> list[str]:
    """Return nftables rules that let a cluster's addresses alone through to a machine, one for each IP version."""
    rules = []
    for version, word in ((4, "ip"), (6, "ip6")):
        to, sources = (_set(one for one in networks if one.version == version) for networks in (machine, cluster))
        if to:
            sources = f"{word} saddr != {sources} " if sources else ""
            rules.append(f"nft add rule inet filter forward {word} daddr {to} {sources}drop")
    return rules


def text(endpoints: Endpoints) -> str:
    """Write endpoints for people, the first addresses of many."""
    addresses = ", ".join(map(str, endpoints.networks[:SHOWN])) + (" …" if len(endpoints.networks) > SHOWN else "")
    return f"{addresses} {', '.join(map(_port_text, endpoints.ports)) or 'all ports'}"


def _set(networks: Iterable[Network]) -> str:
    texts = sorted(map(str, networks))
    return f"{{ {', '.join(texts)} }}" if texts else ""


def _port_text(one: PortRange) -> str:
    return f"{one.protocol} {one.first}" + (f"-{one.last}" if one.last > one.first else "")


def _block(block: Object) -> Iterator[Network]:
    rules = [Rule(parse_source(one), Action.DROP) for one in block.get("except") or ()]
    yield from accepted_set([*rules, Rule(parse_source(block["cidr"]), Action.ACCEPT)])


def _ports(ports: Sequence[dict[str, Any]]) -> tuple[PortRange, ...]:
    ranges = []
    for one in ports:
        protocol, first = one.get("protocol", "TCP"), one.get("port", 1)
        if protocol not in ("TCP", "UDP") or not isinstance(first, int):
            return ()
        ranges.append(PortRange(protocol, first, one.get("endPort", first if "port" in one else 65535)))
    return tuple(ranges)
