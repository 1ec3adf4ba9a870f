"""Builds the NetworkPolicy of one instance: the outer wall around what nftables decides exactly inside the pod."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from berth_core import names
from berth_core.firewall.cidrs import IPBlock, accepted_set, ip_blocks
from berth_core.firewall.model import Action, Network, Rule, parse_source

_EVERYTHING = (parse_source("0.0.0.0/0"), parse_source("::/0"))
_NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"


class Sources(StrEnum):
    """What the policy lets through to the ports that users reach."""

    EXACT = "exact"
    """The networks that the rules accept."""
    ANY = "any"
    """Everybody: nftables alone decides, and opening need not wait for the cluster's enforcer."""


@dataclass(frozen=True, slots=True)
class Egress:
    """Where a workspace may connect to. ``networks`` empty means nowhere; None means everywhere.

    ``blocked`` networks are out of reach in any case: API server, kubelets, metadata service, pods, services.
    ``dns_labels`` are the labels of the namespace and of the pods that serve DNS, reachable on port 53 in spite of
    ``blocked`` unless egress is nowhere; None where the cluster has none that can be named.
    """

    networks: Sequence[Network] | None = None
    blocked: Sequence[Network] = ()
    dns_labels: tuple[Mapping[str, str], Mapping[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class OperatorPods:
    """The only pods that may talk to an agent."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=lambda: {names.COMPONENT_LABEL: "operator"})


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """What the policy of one instance depends on.

    ``selector`` are the labels that choose the instance's pod, ``ports`` the (protocol, port) pairs that users
    reach, the first of them ssh. ``ip_versions`` are those that the cluster's pods have.
    """

    name: str
    namespace: str
    labels: Mapping[str, str]
    selector: Mapping[str, str]
    rules: Sequence[Rule]
    operator: OperatorPods
    sources: Sources = Sources.EXACT
    egress: Egress = Egress()
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
            "egress": egress_rules(request.egress, request.ip_versions),
        },
    }


def _users(request: PolicyRequest) -> list[dict[str, Any]]:
    """Ingress to the users' ports. No accepted source is no entry at all: an empty ``from`` would mean everybody."""
    ports = _ports(request.ports)
    if request.sources is Sources.ANY:
        return [{"ports": ports}]
    blocks = [block for block in ip_blocks(request.rules) if block.cidr.version in request.ip_versions]
    return [{"from": [_block(block) for block in blocks], "ports": ports}] if blocks else []


def _operator(request: PolicyRequest) -> dict[str, Any]:
    """Ingress for pushes, and for the operator's check that packets arrive at the ssh port."""
    peer = {
        "podSelector": {"matchLabels": dict(request.operator.labels)},
        "namespaceSelector": {"matchLabels": {_NAMESPACE_NAME_LABEL: request.operator.namespace}},
    }
    return {"from": [peer], "ports": _ports([("TCP", request.agent_port), ("TCP", names.SSH_PORT)])}


def egress_rules(egress: Egress, ip_versions: frozenset[int] = frozenset({4, 6})) -> list[dict[str, Any]]:
    """Egress entries of a policy."""
    wanted = _EVERYTHING if egress.networks is None else egress.networks
    rules = [Rule(net, Action.DROP) for net in egress.blocked] + [Rule(net, Action.ACCEPT) for net in wanted]
    blocks = [block for block in ip_blocks(rules) if block.cidr.version in ip_versions]
    found: list[dict[str, Any]] = [{"to": [_block(block) for block in blocks]}] if blocks else []
    if egress.dns_labels and accepted_set([Rule(net, Action.ACCEPT) for net in wanted]):
        namespace, pods = egress.dns_labels
        peer = {
            "namespaceSelector": {"matchLabels": dict(namespace)},
            "podSelector": {"matchLabels": dict(pods)},
        }
        found.append({"to": [peer], "ports": _ports([("UDP", 53), ("TCP", 53)])})
    return found


def _block(block: IPBlock) -> dict[str, Any]:
    body: dict[str, Any] = {"cidr": str(block.cidr)}
    if block.except_:
        body["except"] = [str(network) for network in block.except_]
    return {"ipBlock": body}


def _ports(ports: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    return [{"protocol": protocol, "port": port} for protocol, port in ports]
