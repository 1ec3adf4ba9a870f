"""Manifests of the standing Service of a machine, and what the condition Inbound says of it. Pure."""

from typing import Final, NamedTuple

from berth_core import names
from berth_core.firewall import PortRange
from berth_core.kube.types import Object
from berth_core.resources import WorkspaceDeployment
from berth_core.resources.machines.network import MachineNetwork
from berth_operator.instances.decide import LONGEST_WORDS
from berth_operator.instances.manifests.service import NOBODY
from berth_operator.pods.view import PodView
from berth_operator.settings.config import Config

PARKED: Final = "192.0.2.1"
"""Address for documentation, on no node: by ``externalTrafficPolicy: Local`` no node sends anything there."""

NOT_OURS: Final = "NameTaken"
REFUSED: Final = "Refused"
"""Reasons after which the operator tries again without being told of anything."""


class Verdict(NamedTuple):
    """The condition Inbound of a deployment, without its times."""

    holds: bool
    reason: str
    message: str


def service(wd: WorkspaceDeployment, network: MachineNetwork, config: Config) -> Object:
    """Manifest of the Service: real source addresses, and no selector.

    Apply keeps what it does not name, so the manifest names every field that could lead elsewhere.
    """
    ranges = [one for one in network.addresses if ":" not in one] or [NOBODY]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": names.inbound_object(wd.public_id),
            "namespace": wd.metadata.namespace,
            "labels": labels(wd),
            "ownerReferences": [{**wd.reference(), "controller": False, "blockOwnerDeletion": False}],
        },
        "spec": {
            "type": config.service_type,
            **({"loadBalancerSourceRanges": ranges} if config.service_type == "LoadBalancer" else {}),
            "externalTrafficPolicy": "Local",
            "internalTrafficPolicy": "Local",
            "selector": {},
            "externalIPs": [],
            "ports": [_port(one) | {"targetPort": one.first} for one in network.inbound_ports],
        },
    }


def endpoints(wd: WorkspaceDeployment, network: MachineNetwork, pod: PodView | None) -> Object:
    """Manifest of the Service's endpoints: a pod, or nothing that any node reaches."""
    name = names.inbound_object(wd.public_id)
    place = {"addresses": [pod.ip], "nodeName": pod.node} if pod is not None else {"addresses": [PARKED]}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": wd.metadata.namespace,
            "labels": {
                **labels(wd),
                "kubernetes.io/service-name": name,
                "endpointslice.kubernetes.io/managed-by": names.GROUP,
            },
        },
        "addressType": "IPv4",
        "endpoints": [place | {"conditions": {"ready": True}}],
        "ports": [_port(one) for one in network.inbound_ports],
    }


def verdict(live: Object, network: MachineNetwork, host: str | None, problem: Verdict | None) -> Verdict:
    """Return where the machine connects to, or why it cannot."""
    if host is None:
        return problem or Verdict(False, "NoAddress", "the Service has no address yet")
    node_ports = {one["name"]: one.get("nodePort") for one in live["spec"].get("ports") or ()}
    ways = []
    for one in network.inbound_ports:
        outside = one.first if live["spec"]["type"] == "LoadBalancer" else node_ports.get(_port_name(one))
        ways.append(f"{one.protocol} {outside} for {one.first}")
    return Verdict(True, "Standing", f"the machine connects to {host}: {', '.join(ways)} of the workspace")


def taken(name: str) -> Verdict:
    """Return that the Service's name is another's."""
    return Verdict(False, NOT_OURS, f"somebody else's Service has the name of the machine's, delete it: {name}")


def refused(name: str, told: str) -> Verdict:
    """Return that the cluster refuses the Service, or what is behind it."""
    return Verdict(False, REFUSED, f"the cluster refuses the Service {name}: {told[:LONGEST_WORDS]}")


def labels(wd: WorkspaceDeployment) -> dict[str, str]:
    """Labels of the Service and of its endpoints."""
    return {names.DEPLOYMENT_LABEL: wd.metadata.name, names.MANAGED_BY_LABEL: names.MANAGED_BY}


def _port(one: PortRange) -> Object:
    return {"name": _port_name(one), "protocol": one.protocol, "port": one.first}


def _port_name(one: PortRange) -> str:
    return f"{one.protocol.lower()}-{one.first}"
