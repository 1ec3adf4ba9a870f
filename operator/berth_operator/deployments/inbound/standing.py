"""The standing Service by which a machine reaches the workspace of each lease, at one address (ADR 0058).

Its endpoints are Berth's own: the pod of a lease that runs, and else one that no node reaches. A Service without any
endpoint would leave flows of UDP in the nodes' tables, to an address that another pod may get.
"""

from collections.abc import Iterable
from typing import Final

from berth_core import ids, names, overrides
from berth_core.kube.errors import ForbiddenError, InvalidError
from berth_core.kube.types import Object
from berth_core.resources import Instance, WorkspaceDeployment, WorkspaceType
from berth_operator.deployments.inbound.manifests import Verdict, endpoints, labels, refused, service, taken, verdict
from berth_operator.engine.world import TermState, World
from berth_operator.instances.firewall.policies import digest_of, find
from berth_operator.instances.manifests.service import node_address
from berth_operator.kinds import DEPLOYMENT, ENDPOINT_SLICES, NODES, PODS, SERVICES
from berth_operator.pods.view import PodView, pod_view

STANDING: Final = "standing"
"""Index of Services."""


class Standing(dict[str, tuple[str, str]], TermState):
    """Digests of the Service and of the endpoints that were applied, by the Service's name."""


def wake(world: World, obj: Object, _gone: bool) -> None:
    """Wake the deployment of an object of a lease, or of a standing Service, where there is such a Service."""
    namespace = obj["metadata"]["namespace"]
    deployment = (obj["metadata"].get("labels") or {}).get(names.DEPLOYMENT_LABEL)
    if deployment is None:
        return
    own = names.inbound_object(ids.deployment_id(namespace, deployment))
    if own == obj["metadata"]["name"] or world.cache[SERVICES].get(namespace, own) is not None:
        world.add(DEPLOYMENT, namespace, deployment)


def wake_by_node(world: World, _obj: Object, _gone: bool) -> None:
    """Wake all deployments with a standing Service: nodes come and go, and their addresses change."""
    for obj in world.cache[SERVICES].by(STANDING, "yes"):
        world.add(DEPLOYMENT, obj["metadata"]["namespace"], obj["metadata"]["labels"][names.DEPLOYMENT_LABEL])


def stands(obj: Object) -> Iterable[str]:
    """Index of Services: those that stand for machines."""
    labels = obj["metadata"].get("labels") or {}
    return () if names.EPOCH_LABEL in labels or names.DEPLOYMENT_LABEL not in labels else ("yes",)


def wake_by_instance(world: World, obj: Object, _gone: bool) -> None:
    """Wake the deployment of an instance to which a machine may connect."""
    status = obj.get("status") or {}
    if ((status.get("machine") or {}).get("network") or {}).get("inbound"):
        world.add(DEPLOYMENT, obj["metadata"]["namespace"], status["deployment"])


def forget(world: World, namespace: str, deployment: str) -> None:
    """Drop what is known of a deployment that is gone; Kubernetes deletes its Service."""
    world.state(Standing).pop(names.inbound_object(ids.deployment_id(namespace, deployment)), None)


async def stand(
    world: World, wd: WorkspaceDeployment, type_: WorkspaceType | None, holder: Instance | None
) -> Verdict | None:
    """Keep the Service as the deployment and its lease say; None where the machine connects to nothing."""
    metadata, standing = wd.metadata, world.state(Standing)
    name = names.inbound_object(wd.public_id)
    network = holder.network if holder is not None and holder.status.epoch is not None else wd.network
    live = world.cache[SERVICES].get(metadata.namespace, name)
    if network is None or not network.inbound:
        if live is not None and _is_of(live, wd):
            # Its endpoints go with it.
            await world.client.delete(SERVICES, metadata.namespace, name, uid=live["metadata"]["uid"])
        standing.pop(name, None)
        return None
    manifest = service(wd, network, world.config)
    known, digest = standing.get(name, ("", "")), digest_of(manifest)
    try:
        if live is None or known[0] != digest:
            live = await find(world, SERVICES, metadata.namespace, name)
            if live is not None and not _is_of(live, wd):
                return taken(name)
            live = await world.client.apply(SERVICES, manifest)
            world.cache[SERVICES].put(live)
        # Endpoints go with their Service: those of one that somebody has deleted are made anew for the next.
        behind = endpoints(wd, network, _serving(world, wd, holder))
        owner = {"apiVersion": "v1", "kind": "Service", "name": name, "uid": live["metadata"]["uid"]}
        behind["metadata"]["ownerReferences"] = [owner]
        digests = digest, digest_of(behind)
        if known[1] != digests[1]:
            await world.client.apply(ENDPOINT_SLICES, behind)
    except (InvalidError, ForbiddenError) as error:
        standing.pop(name, None)
        return refused(name, error.message)
    standing[name] = digests
    return verdict(live, network, *_host(world, wd, type_, live))


def _is_of(live: Object, wd: WorkspaceDeployment) -> bool:
    """Whether a Service is the deployment's. Its labels say so, which only Berth writes."""
    return bool(labels(wd).items() <= (live["metadata"].get("labels") or {}).items())


def _host(
    world: World, wd: WorkspaceDeployment, type_: WorkspaceType | None, live: Object
) -> tuple[str | None, Verdict | None]:
    """Return the address outside of the cluster, which is the same for each lease; or why there is none."""
    if live["spec"]["type"] == "LoadBalancer":
        ingress = (live.get("status") or {}).get("loadBalancer", {}).get("ingress") or []
        return next((one["ip"] for one in ingress if one.get("ip")), None), None
    added = wd.spec.overrides
    selector = overrides.node_selector(type_.spec.template, added) if type_ is not None else added.node_selector
    nodes = [node for node in world.cache[NODES] if selector.items() <= (node["metadata"].get("labels") or {}).items()]
    if len(nodes) != 1:
        message = (
            f"the machine needs one address for all leases, and {len(nodes)} nodes fit the deployment's: name one in"
            " spec.overrides.nodeSelector, such as kubernetes.io/hostname: node-1"
        )
        return None, Verdict(False, "NodeNotPinned", message)
    address = node_address(nodes[0], world.config.node_addresses or {})
    if address is None:
        return None, Verdict(False, "NoAddress", f"the node {nodes[0]['metadata']['name']} has no IPv4 address")
    return address, None


def _serving(world: World, wd: WorkspaceDeployment, holder: Instance | None) -> PodView | None:
    """Return the pod of the lease that runs; None where there is none, or it has no address yet."""
    if holder is None or holder.status.reason is not None or holder.status.epoch != wd.status.epoch:
        return None
    own = (
        names.warm_object(wd.public_id, wd.status.epoch)
        if holder.status.warm
        else names.instance_object(holder.public_id)
    )
    obj = world.cache[PODS].get(wd.metadata.namespace, own)
    pod = pod_view(obj) if obj is not None else None
    return pod if pod is not None and pod.ip and pod.node and not pod.over else None
