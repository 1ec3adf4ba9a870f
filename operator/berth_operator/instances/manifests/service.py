"""The Service of a lease, and the address that it gives."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from typing import Final

from berth_core import names
from berth_core.firewall import Rule, Sources, accepted_set
from berth_core.kube.types import Object
from berth_core.resources.instance import Address
from berth_operator.instances.manifests import vpn
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.settings.config import Config

PORT: Final = 2222
"""Port of the Service: clients are promised that it is never 22."""
NOBODY: Final = "255.255.255.255/32"
"""Source range for a load balancer while no rule accepts anyone: an empty list would mean everyone."""


def service(lease: LeaseParts, config: Config, rules: Sequence[Rule]) -> Object:
    """Manifest. Source addresses stay real, and the path is there before the pod is ready.

    It names what could lead elsewhere, so that applying it takes away what others set.
    """
    tunnel = vpn.settings(lease, config)
    ranges = source_ranges(rules, config)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": lease.metadata(lease.name),
        "spec": {
            "type": config.service_type,
            **({"loadBalancerSourceRanges": ranges} if ranges is not None else {}),
            "selector": lease.selector,
            "externalIPs": [],
            "externalTrafficPolicy": "Local",
            "publishNotReadyAddresses": True,
            "ports": [
                {"name": names.SSH_PORT_NAME, "protocol": "TCP", "port": PORT, "targetPort": names.SSH_PORT},
                *([vpn.port(tunnel)] if tunnel is not None else []),
            ],
        },
    }


def source_ranges(rules: Sequence[Rule], config: Config) -> list[str] | None:
    """Networks that a load balancer is told to let through: those of the NetworkPolicy. None: it lets everyone through.

    It serves IPv4 only.
    """
    if config.service_type != "LoadBalancer" or config.sources is not Sources.EXACT:
        return None
    return [str(network) for network in accepted_set(rules) if network.version == 4] or [NOBODY]


def announced(
    service: Object | None, node: Object | None, mapping: Mapping[str, str], *, port_name: str = names.SSH_PORT_NAME
) -> tuple[Address | None, str]:
    """Address that clients use for the Service's port of that name, or why there is none (yet).

    NodePort: the mapping's address for the pod's node, else its ExternalIP, else its InternalIP. LoadBalancer: its
    first IPv4 address.
    """
    if service is None:
        return None, ""
    ports = service["spec"].get("ports") or []
    if service["spec"]["type"] == "LoadBalancer":
        ingress = (service.get("status") or {}).get("loadBalancer", {}).get("ingress") or []
        for entry in ingress:
            if _is_ipv4(entry.get("ip", "")):
                outer = PORT if port_name == names.SSH_PORT_NAME else names.VPN_PORT
                return Address(ipv4=entry["ip"], port=outer), ""
        return None, "the load balancer has no IPv4 address yet" if not ingress else "the load balancer has no IPv4"
    port = next((p.get("nodePort") for p in ports if p.get("name") == port_name), None)
    if port is None:
        return None, "the Service has no node port"
    if node is None:
        return None, ""
    address = node_address(node, mapping)
    if address is None:
        return None, f"the node {node['metadata']['name']} has no IPv4 address"
    return Address(ipv4=address, port=port), ""


def node_address(node: Object, mapping: Mapping[str, str]) -> str | None:
    """Return the address at which a node's ports are reached from outside; None where it has no IPv4 address."""
    if (named := mapping.get(node["metadata"]["name"])) is not None:
        return named
    addresses = (node.get("status") or {}).get("addresses") or []
    for kind in ("ExternalIP", "InternalIP"):
        for entry in addresses:
            if entry["type"] == kind and _is_ipv4(entry["address"]):
                return str(entry["address"])
    return None


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True
