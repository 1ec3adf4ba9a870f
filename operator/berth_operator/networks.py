"""The cluster's own networks (nodes, their pods, Services, API servers), which no workspace reaches, and its runtimes.

They are looked up when a process begins to lead, with each relist, and when a node comes. Changes of networks are
applied to every instance. Reports of nodes on their runtimes are taken over as they come, for the next pods.
"""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Final

import structlog

from berth_core.firewall import Network, lies_in
from berth_core.firewall.nodes import networks_of
from berth_core.kube.errors import ForbiddenError, NotFoundError
from berth_core.kube.types import Kind, Object
from berth_operator.engine.controllers import Controller, Watch
from berth_operator.engine.world import World
from berth_operator.instances.memory import Memories
from berth_operator.kinds import NODES, RELIST, SERVICES
from berth_operator.settings.runtimes import DEFAULT_HANDLER, ClassView, NodeRuntimes, Runtimes, UserNamespaces

log = structlog.get_logger(__name__)

SERVICE_RANGES: Final = Kind("networking.k8s.io/v1", "servicecidrs", namespaced=False)
ENDPOINTS: Final = Kind("discovery.k8s.io/v1", "endpointslices")
RUNTIME_CLASSES: Final = Kind("node.k8s.io/v1", "runtimeclasses", namespaced=False)
CANARY: Final = "berth-canary"
"""Name of the Service, in the release's namespace."""
API_SERVER: Final = ("default", "kubernetes")
"""Namespace and name of the EndpointSlice that API servers keep of themselves."""


async def survey(world: World) -> None:
    """Find out the cluster's networks and runtimes."""
    await _survey_networks(world)
    await _find_canary(world)
    if world.config.user_namespaces is UserNamespaces.AUTO:
        classes, _ = await world.client.list(RUNTIME_CLASSES)
        nodes = {one["metadata"]["name"]: node_runtimes(one) for one in world.cache[NODES]}
        runtimes = Runtimes(nodes, {one["metadata"]["name"]: class_view(one) for one in classes})
        world.config = replace(world.config, runtimes=runtimes)


def note_runtimes(world: World, node: Object, *, gone: bool) -> None:
    """Take over what a node says of its runtimes, where that decides something."""
    name, runtimes = node["metadata"]["name"], world.config.runtimes
    change = {} if gone else {name: node_runtimes(node)}
    if world.config.user_namespaces is UserNamespaces.AUTO and change.get(name) != runtimes.nodes.get(name):
        others = {other: view for other, view in runtimes.nodes.items() if other != name}
        world.config = replace(world.config, runtimes=replace(runtimes, nodes=others | change))


async def _survey_networks(world: World) -> None:
    """Find out the cluster's networks, and have every NetworkPolicy made anew where they have changed."""
    if not world.config.block_cluster:
        return
    ranges, _ = await world.client.list(SERVICE_RANGES)
    try:
        servers = await world.client.get(ENDPOINTS, *API_SERVER)
    except NotFoundError:  # an administrator can turn it off
        servers = None
    networks = own_networks(world.cache[NODES], ranges, servers)
    if networks == world.config.own_networks:
        return
    world.config = replace(world.config, own_networks=networks)
    world.state(Memories).outdate_policies()
    log.info("networks that no workspace reaches", networks=[str(network) for network in networks])


async def _find_canary(world: World) -> None:
    """Find out where pods without an agent try whether their NetworkPolicy is in force (ADR 0052).

    They fail, and say why, where the release's chart is older than this program and has no such Service, or no right.
    """
    if not world.config.machines:
        return
    try:
        service = await world.client.get(SERVICES, world.config.namespace, CANARY)
    except (NotFoundError, ForbiddenError) as error:
        log.error("hooks and builds fail without a Service of the chart", service=CANARY, error=str(error))
        world.config = replace(world.config, canary=())
    else:
        world.config = replace(world.config, canary=tuple(service["spec"]["clusterIPs"]))


def own_networks(nodes: Iterable[Object], ranges: Iterable[Object], servers: Object | None) -> tuple[Network, ...]:
    """Networks of nodes and their pods, of Services (ServiceCIDRs), and of API servers (an EndpointSlice). Pure."""
    networks = [network for node in nodes for network in networks_of(node)]
    networks += [ip_network(cidr) for one in ranges for cidr in one["spec"]["cidrs"]]
    for endpoint in (servers or {}).get("endpoints") or ():
        networks += [ip_network(address) for address in endpoint["addresses"]]
    four = collapse_addresses(network for network in networks if isinstance(network, IPv4Network))
    six = collapse_addresses(network for network in networks if isinstance(network, IPv6Network))
    return (*four, *six)


def is_new(node: Object, networks: Iterable[Network]) -> bool:
    """Whether a node has a network that lies in none of the known ones. Pure."""
    within = tuple(networks)
    return any(not any(lies_in(network, other) for other in within) for network in networks_of(node))


def node_runtimes(node: Object) -> NodeRuntimes:
    """Read what a Node says of its runtimes (``status.runtimeHandlers``)."""
    handlers = (node.get("status") or {}).get("runtimeHandlers") or ()
    able = (one.get("name", DEFAULT_HANDLER) for one in handlers if (one.get("features") or {}).get("userNamespaces"))
    return NodeRuntimes(node["metadata"].get("labels") or {}, frozenset(able))


def class_view(runtime_class: Object) -> ClassView:
    """Read a RuntimeClass."""
    return ClassView(runtime_class["handler"], (runtime_class.get("scheduling") or {}).get("nodeSelector") or {})


def _node(world: World, obj: Object, gone: bool) -> None:
    note_runtimes(world, obj, gone=gone)
    if world.config.own_networks and is_new(obj, world.config.own_networks):
        world.add(RELIST, "", "")


CONTROLLER: Final = Controller(watches=(Watch(NODES, _node),), relisted=survey)
