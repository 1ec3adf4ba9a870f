"""NetworkPolicies of leases: one for all pods of a type, and one for a lease that needs its own.

That is each lease with ``sources: exact`` (ADR 0046), and each of a machine with an address of its own (ADR 0049).
"""

from collections.abc import Sequence
from dataclasses import replace

from berth_core import names
from berth_core.firewall import OperatorPods, PolicyRequest, Rule, Sources, network_policy
from berth_core.kube.types import Object
from berth_core.resources import WorkspaceType
from berth_operator.instances.manifests import vpn
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.podspec import wall
from berth_operator.podspec.network import dns_peers, type_egress
from berth_operator.settings.config import Config


def type_policy(type_: WorkspaceType, config: Config) -> Object:
    """Manifest for all pods of leases of a type: egress as the type says.

    With ``sources: any`` everybody reaches ssh and the VPN's port, where nftables decides; with ``exact`` only the
    operator gets in, and the policy of each lease adds its users.
    """
    of = type_.metadata
    request = PolicyRequest(
        name=names.type_policy(of.name),
        namespace=of.namespace,
        labels={**names.type_labels(of.name), names.MANAGED_BY_LABEL: names.MANAGED_BY},
        selector=names.type_labels(of.name),
        rules=(),
        operator=OperatorPods(namespace=config.namespace),
        sources=config.sources,
        egress=type_egress(type_, config),
        dns=dns_peers(config),
        ports=_ports(config, with_vpn=config.vpn is not None),
    )
    manifest = network_policy(request)
    manifest["metadata"]["annotations"] = {names.TYPE_UID_ANNOTATION: of.uid}
    return manifest


def policy(lease: LeaseParts, rules: Sequence[Rule], config: Config) -> Object:
    """Manifest for the pods of one lease: ingress by the rules, egress as the type says, and to its machine."""
    request = PolicyRequest(
        name=lease.name,
        namespace=lease.namespace,
        labels=lease.labels,
        selector=lease.selector,
        rules=rules,
        operator=OperatorPods(namespace=config.namespace),
        sources=config.sources,
        egress=type_egress(lease.type, config),
        machine=config.grounds.opened(lease.network),
        more=_to_hub(config) if lease.way is not None else (),
        dns=dns_peers(config),
        ports=_ports(config, with_vpn=vpn.settings(lease, config) is not None),
    )
    manifest = network_policy(request)
    # So that it differs from that of an earlier pod for the epoch, whose deletion may be on its way.
    nonce = {"annotations": {names.NONCE_ANNOTATION: lease.nonce}} if lease.warm and lease.nonce else {}
    manifest["metadata"] = lease.metadata(lease.name, **nonce)
    return manifest


def closed_policy(lease: LeaseParts, config: Config) -> Object:
    """Manifest for while a hook runs: no user comes in, whatever the rules.

    Egress is as for the lease, and to where the hook's pod sees that this is in force.
    """
    manifest = policy(lease, (), replace(config, sources=Sources.EXACT))
    manifest["spec"]["egress"] += wall.egress(config)
    return manifest


def _to_hub(config: Config) -> list[Object]:
    """Egress of a pod whose agent carries streams to a machine behind a connector."""
    peer = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": config.namespace}},
        "podSelector": {"matchLabels": {names.COMPONENT_LABEL: "hub"}},
    }
    return [{"to": [peer], "ports": [{"protocol": "TCP", "port": names.HUB_PORT}]}]


def _ports(config: Config, *, with_vpn: bool) -> list[tuple[str, int]]:
    ssh = ("TCP", names.SSH_PORT)
    return [ssh, vpn.reached(config.vpn.tunnel.protocol)] if config.vpn is not None and with_vpn else [ssh]
