"""Networks of nodes. Pure."""

from ipaddress import ip_address, ip_network

from berth_core.firewall.model import Network
from berth_core.kube.types import Object


def networks_of(node: Object) -> list[Network]:
    """Addresses of a node, and the networks that its pods have theirs from, where the cluster assigns them."""
    addresses = (node.get("status") or {}).get("addresses") or ()
    own: list[Network] = [ip_network(one["address"]) for one in addresses if _is_address(one["address"])]
    return own + [ip_network(cidr) for cidr in (node.get("spec") or {}).get("podCIDRs") or ()]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:  # Hostname, InternalDNS, ExternalDNS
        return False
    return True
