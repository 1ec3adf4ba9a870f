"""Where pods that are made for users may connect to, and the DNS that they ask."""

from ipaddress import ip_network
from typing import Final

from berth_core.firewall import Egress
from berth_core.kube.types import Object
from berth_core.resources import WorkspaceType
from berth_operator.settings.config import Config

_CLUSTER: Final = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
}
"""The pods that serve DNS, by the convention of all installers."""


def dns_peers(config: Config) -> list[Object]:
    """Return the peers of a NetworkPolicy's egress to port 53."""
    if not config.resolvers:
        return [_CLUSTER]
    return [{"ipBlock": {"cidr": str(ip_network(address))}} for address in config.resolvers]


def dns_fields(config: Config) -> Object:
    """Return the fields of a pod's spec; none where it asks the cluster's DNS."""
    if not config.resolvers:
        return {}
    return {"dnsPolicy": "None", "dnsConfig": {"nameservers": [str(address) for address in config.resolvers]}}


def type_egress(type_: WorkspaceType, config: Config) -> Egress:
    """Where workspaces of a type may connect to."""
    return type_.spec.network.reached(config.out_of_reach)
