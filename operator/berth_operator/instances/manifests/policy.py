"""The NetworkPolicy of a lease."""

from collections.abc import Sequence
from dataclasses import replace

from berth_core import names
from berth_core.firewall import OperatorPods, PolicyRequest, Rule, Sources, network_policy
from berth_core.kube.types import Object
from berth_operator.instances.manifests import vpn
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.podspec.network import dns_peers, type_egress
from berth_operator.settings.config import Config


def policy(lease: LeaseParts, rules: Sequence[Rule], config: Config) -> Object:
    """Manifest: ingress by the rules, egress as the type says."""
    tunnel = vpn.settings(lease, config)
    ports = [("TCP", names.SSH_PORT), *([vpn.reached(tunnel.tunnel.protocol)] if tunnel is not None else [])]
    request = PolicyRequest(
        name=lease.name,
        namespace=lease.namespace,
        labels=lease.labels,
        selector=lease.selector,
        rules=rules,
        operator=OperatorPods(namespace=config.namespace),
        sources=config.sources,
        egress=type_egress(lease.type, config),
        dns=dns_peers(config),
        ports=ports,
    )
    manifest = network_policy(request)
    # So that it differs from that of an earlier pod for the epoch, whose deletion may be on its way.
    nonce = {"annotations": {names.NONCE_ANNOTATION: lease.nonce}} if lease.warm and lease.nonce else {}
    manifest["metadata"] = lease.metadata(lease.name, **nonce)
    return manifest


def closed_policy(lease: LeaseParts, config: Config) -> Object:
    """Manifest for while a hook runs: no user comes in, whatever the rules; egress as the type says."""
    return policy(lease, (), replace(config, sources=Sources.EXACT))
