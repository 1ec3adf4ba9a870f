"""Builds the NetworkPolicy of one instance: the outer wall; nftables decides exactly inside the pod."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

from berth_core import names
from berth_core.firewall import special
from berth_core.firewall.cidrs import IPBlock, accepted_set, ip_blocks
from berth_core.firewall.endpoints import Endpoints, endpoint_rules
from berth_core.firewall.model import Action, Network, Rule, lies_in

_NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"


class Sources(StrEnum):
    """Sources that the policy lets through to the ports that users reach."""

    EXACT = "exact"
    """The networks that the rules accept."""
    ANY = "any"
    """Everybody: nftables alone decides, and opening need not wait for the cluster's enforcer."""


@dataclass(frozen=True, slots=True)
class Egress:
    """Destinations of pods: ``networks`` from a type or setting, and with ``public`` all public addresses.

    No pod reaches the ``blocked`` networks (API server, kubelets, pods, Services, machines) or those of
    ``special.NEVER``, even where ``networks`` has them. A pod reaches an IPv6 address with an IPv4 address inside
    (NAT64, 6to4) only where it reaches both. A NetworkPolicy has no mapped addresses: packets to these leave the pod as
    IPv4.
    """

    networks: tuple[Network, ...] = ()
    public: bool = False
    blocked: tuple[Network, ...] = ()

    def reaches(self, network: Network) -> bool:
        """Whether pods reach all addresses of a network."""
        return any(lies_in(network, reached) for reached in accepted_set(_order(self)))


@dataclass(frozen=True, slots=True)
class OperatorPods:
    """The only pods that may talk to an agent."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=lambda: {names.COMPONENT_LABEL: "operator"})


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """Input for the policy of one instance.

    ``selector`` are the labels that choose the instance's pod, ``dns`` its name servers, ``ports`` the (protocol, port)
    pairs that users reach, ssh first, and ``ip_versions`` those of the cluster's pods. ``machine`` is opened besides
    what ``egress`` reaches.
    """

    name: str
    namespace: str
    labels: Mapping[str, str]
    selector: Mapping[str, str]
    rules: Sequence[Rule]
    operator: OperatorPods
    sources: Sources = Sources.EXACT
    egress: Egress = Egress()
    machine: Endpoints | None = None
    more: Sequence[Mapping[str, Any]] = ()
    """Further entries of egress."""
    dns: Sequence[Mapping[str, Any]] = ()
    ports: Sequence[tuple[str, int]] = (("TCP", names.SSH_PORT),)
    agent_port: int = names.AGENT_PORT
    ip_versions: frozenset[int] = frozenset({4, 6})


def network_policy(request: PolicyRequest) -> dict[str, Any]:
    """Manifest of the NetworkPolicy: everything that is not listed is denied, in both directions."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": request.name, "namespace": request.namespace, "labels": dict(request.labels)},
        "spec": {
            "podSelector": {"matchLabels": dict(request.selector)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [*_users(request), _operator(request)],
            "egress": [
                *egress_rules(request.egress, request.dns, request.ip_versions),
                *endpoint_rules(request.machine, request.ip_versions),
                *request.more,
            ],
        },
    }


def _users(request: PolicyRequest) -> list[dict[str, Any]]:
    """Ingress to the users' ports. No accepted source means no entry: an empty ``from`` would mean everybody."""
    ports = _ports(request.ports)
    if request.sources is Sources.ANY:
        return [{"ports": ports}]
    blocks = [block for block in _fit(ip_blocks(request.rules)) if block.cidr.version in request.ip_versions]
    return [{"from": [_block(block) for block in blocks], "ports": ports}] if blocks else []


def _operator(request: PolicyRequest) -> dict[str, Any]:
    """Ingress for pushes, and for the operator's check that packets arrive at the ssh port."""
    peer = {
        "podSelector": {"matchLabels": dict(request.operator.labels)},
        "namespaceSelector": {"matchLabels": {_NAMESPACE_NAME_LABEL: request.operator.namespace}},
    }
    return {"from": [peer], "ports": _ports([("TCP", request.agent_port), ("TCP", names.SSH_PORT)])}


def egress_rules(
    egress: Egress, dns: Sequence[Mapping[str, Any]] = (), ip_versions: frozenset[int] = frozenset({4, 6})
) -> list[dict[str, Any]]:
    """Egress entries of a policy; ``dns`` are the name servers, which are left out where pods reach nothing else."""
    blocks = [block for block in _reached(egress) if block.cidr.version in ip_versions]
    rules: list[dict[str, Any]] = [{"to": [_block(block) for block in blocks]}] if blocks else []
    if dns and (egress.public or egress.networks):
        rules.append({"to": list(dns), "ports": _ports([("UDP", 53), ("TCP", 53)])})
    return rules


@lru_cache(maxsize=256)
def _reached(egress: Egress) -> tuple[IPBlock, ...]:
    """Compile once for all instances of a type."""
    return tuple(_fit(ip_blocks(_order(egress))))


def _fit(blocks: Iterable[IPBlock]) -> Iterator[IPBlock]:
    """Leave out mapped addresses: the API server reads them as IPv4, and so finds them outside of IPv6 blocks."""
    for block in blocks:
        if not lies_in(block.cidr, special.MAPPED):
            holes = tuple(hole for hole in block.except_ if not lies_in(hole, special.MAPPED))
            yield IPBlock(block.cidr, holes)


def _order(egress: Egress) -> list[Rule]:
    """Rules by destination; the first that matches decides."""
    never = (*special.networks(special.NEVER), *egress.blocked)
    not_public = special.networks(special.NOT_PUBLIC)
    rules = _all(never, Action.DROP)
    if any(special.may_carry(network) for network in egress.networks):
        # Such a network names a translator, not the addresses behind it.
        rules += _all(_inside(never), Action.DROP)
        rules += _all(_common(_inside(egress.networks), egress.networks), Action.ACCEPT)
        rules += _all(_inside(not_public), Action.DROP)
    rules += _all(egress.networks, Action.ACCEPT)
    if egress.public:
        rules += _all(not_public, Action.DROP) + _all(special.PUBLIC, Action.ACCEPT)
    return rules


def _all(networks: Iterable[Network], action: Action) -> list[Rule]:
    return [Rule(network, action) for network in networks]


def _inside(networks: Iterable[Network]) -> list[Network]:
    return [form for network in networks for form in special.forms(network)]


def _common(ones: Iterable[Network], others: Iterable[Network]) -> list[Network]:
    """Intersection of two lists of networks: of two networks that overlap, one is within the other."""
    pairs = [(one, other) for one in ones for other in others]
    return [one for one, other in pairs if lies_in(one, other)] + [other for one, other in pairs if lies_in(other, one)]


def _block(block: IPBlock) -> dict[str, Any]:
    body: dict[str, Any] = {"cidr": str(block.cidr)}
    if block.except_:
        body["except"] = [str(network) for network in block.except_]
    return {"ipBlock": body}


def _ports(ports: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    return [{"protocol": protocol, "port": port} for protocol, port in ports]
