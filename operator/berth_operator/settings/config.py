"""Settings of the operator from its environment, read once (docs/reference/environment.md lists them)."""

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_network
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, Json, TypeAdapter

from berth_core import durations, names
from berth_core.archive.settings import ArchiveSettings, archive_settings
from berth_core.firewall import Network, Sources
from berth_core.machines.placement import Grounds
from berth_core.process.settings import LENGTH, NETWORKS, PORT, SWITCH, TEXTS, Settings, split
from berth_core.resources import KINDS
from berth_core.vpn import Protocol, Tunnel, configuration
from berth_operator.settings.builds import Bounds, CiSettings, bounds, ci_settings
from berth_operator.settings.confinement import Confinement, confinement
from berth_operator.settings.runtimes import Runtimes, UserNamespaces

__all__ = ["CiSettings", "CloneSettings", "Config", "ServiceType", "VpnSettings"]

ServiceType = Literal["NodePort", "LoadBalancer"]
IF_NOT_PRESENT: Final = "IfNotPresent"
HISTORY_RETENTION: Final = timedelta(days=30)
KEEPER_PATIENCE: Final = timedelta(minutes=5)
HISTORY: Final = Bounds(per_user=1000, per_namespace=10_000)
HISTORY_BYTES: Final = Bounds(per_user=16 << 20, per_namespace=128 << 20)
MKNOD: Final = "mknod"
PRIVILEGED: Final = "privileged"
"""Ways to /dev/net/tun; any other word is the name of a device resource."""
_RESOURCE: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")


def _user_namespaces(text: str) -> str:
    """Values of before there was `auto` keep their meaning."""
    return {"true": "always", "false": "never"}.get(text, text)


def _plural(text: str) -> str:
    if all(text != kind.api().plural for kind in KINDS):
        raise ValueError(f"{text} is no kind of Berth's; write its plural")
    return text


def _interval(text: str) -> timedelta | None:
    return None if text == "off" else durations.parse(text)


def _tun(text: str) -> str:
    if text not in (MKNOD, PRIVILEGED) and not _RESOURCE.fullmatch(text):
        raise ValueError("write mknod, privileged, or the name of a device resource")
    return text


VARIABLES: Final = {
    "BERTH_NAMESPACE": "The release's namespace.",
    "BERTH_WORKSPACE_NAMESPACES": "Workspace namespaces.",
    "BERTH_ACCESS_NAMESPACE": "Namespace of private keys for users.",
    "BERTH_AGENT_IMAGE": "Image with the agent.",
    "BERTH_AGENT_IMAGE_PULL_POLICY": "Pull policy of the agent's image.",
    "BERTH_IDENTITY": "Name of this replica, its pod's; the host's name where it is empty.",
    "BERTH_SERVICE_TYPE": "Type of the Services of instances.",
    "BERTH_NETWORK_POLICY_SOURCES": "Whether NetworkPolicies let only accepted sources in, or leave that to nftables.",
    "BERTH_NODE_ADDRESSES": "IPv4 address that clients use for a node, by the node's name.",
    "BERTH_BLOCKED_CIDRS": "Networks that workspaces never reach.",
    "BERTH_MACHINE_CIDRS": "Networks where machines stand; workspaces do not reach them either.",
    "BERTH_RESOLVERS": "DNS servers that pods made for users ask in place of the cluster's.",
    "BERTH_BLOCK_CLUSTER_NETWORKS": "Whether workspaces do not reach nodes, pods, Services and API servers either.",
    "BERTH_USER_NAMESPACES": "Pods that run with `hostUsers: false`.",
    "BERTH_INSTANCE_RUNTIME_CLASS": "RuntimeClass of pods of types that name none.",
    "BERTH_INSTANCE_SECCOMP_PROFILE": "`seccompProfile` of workspaces and hooks.",
    "BERTH_INSTANCE_APPARMOR_PROFILE": "`appArmorProfile` of workspaces and hooks; empty for the runtime's own.",
    "BERTH_VPN_IMAGE": "Image of VPNs; without it none is offered.",
    "BERTH_VPN_IMAGE_PULL_POLICY": "Pull policy of the VPN's image.",
    "BERTH_VPN_PROTOCOL": "Transport of the tunnel.",
    "BERTH_VPN_NETWORK": "Addresses inside of each VPN.",
    "BERTH_VPN_TUN": "Way to /dev/net/tun.",
    "BERTH_CLONE_IMAGE": "Image that clones repositories into workspaces; without it none is cloned.",
    "BERTH_CLONE_IMAGE_PULL_POLICY": "Pull policy of that image.",
    "BERTH_HISTORY_RETENTION": "Time for which ended Instances and Builds and fulfilled Reservations are kept.",
    "BERTH_HISTORY_PER_USER": "Number of each of these kinds that is kept of one user in a workspace namespace.",
    "BERTH_HISTORY_PER_NAMESPACE": "Number of each of these kinds that is kept in a workspace namespace.",
    "BERTH_HISTORY_BYTES_PER_USER": "Bytes of all these kinds that are kept of one user in a workspace namespace.",
    "BERTH_HISTORY_BYTES_PER_NAMESPACE": "Bytes of all these kinds that are kept in a workspace namespace.",
    "BERTH_MOST_OBJECTS": "Objects of a kind that a workspace namespace holds; any number of kinds that are not named.",
    "BERTH_MOST_EACH": "Objects of a kind that are not over, of one user in a workspace namespace; rules and VPN"
    " clients of one instance.",
    "BERTH_PROBE_INTERVAL": "Interval of tests whether NetworkPolicy is enforced; `off` where it is empty.",
    "BERTH_KEEPER_PATIENCE": "Time for what a machine's relays do at the end of a lease; then it is in quarantine.",
    "BERTH_LISTEN": "Port of `/healthz`, `/readyz` and `/metrics`.",
    "KUBECONFIG": "Way to the cluster; the pod's service account where it is empty.",
}
SERVICE_TYPE: Final[TypeAdapter[ServiceType]] = TypeAdapter(ServiceType)
ADDRESSES: Final = TypeAdapter(
    Annotated[tuple[IPv4Address | IPv6Address, ...], BeforeValidator(split), Field(description="addresses, comma list")]
)
USER_NAMESPACES: Final = TypeAdapter(Annotated[UserNamespaces, BeforeValidator(_user_namespaces)])
COUNTS: Final = TypeAdapter(
    Annotated[
        Json[Mapping[Annotated[str, AfterValidator(_plural)], Annotated[int, Field(ge=1, strict=True)]]],
        Field(description="JSON object of numbers from 1, by a kind's plural"),
    ]
)
INTERVAL: Final = TypeAdapter(
    Annotated[timedelta | None, BeforeValidator(_interval), Field(description="length such as `1h`, or `off`")]
)
TUNNEL: Final = TypeAdapter(
    Annotated[
        IPv4Network,
        BeforeValidator(configuration.parse_network),
        Field(description="IPv4 network from /16 to /28"),
    ]
)
TUN: Final = TypeAdapter(
    Annotated[str, BeforeValidator(_tun), Field(description="`mknod`, `privileged`, or a device resource")]
)


@dataclass(frozen=True)
class VpnSettings:
    """How VPNs are made."""

    image: str
    tunnel: Tunnel
    pull_policy: str = "IfNotPresent"
    tun: str = MKNOD
    """MKNOD, PRIVILEGED, or the device resource that brings /dev/net/tun."""


@dataclass(frozen=True)
class CloneSettings:
    """Settings of the container that clones repositories into workspaces: its image has git."""

    image: str
    pull_policy: str = "IfNotPresent"


@dataclass(frozen=True)
class Config:
    """Settings of one operator process."""

    namespace: str
    workspace_namespaces: tuple[str, ...]
    access_namespace: str
    agent_image: str
    identity: str
    agent_pull_policy: str = "IfNotPresent"
    service_type: ServiceType = "NodePort"
    sources: Sources = Sources.ANY
    node_addresses: Mapping[str, str] | None = None
    blocked: tuple[Network, ...] = ()
    """Networks that no workspace reaches, by an administrator's word."""
    block_cluster: bool = False
    """Whether workspaces do not reach the cluster's own networks either."""
    machines: tuple[Network, ...] = ()
    """Networks where machines stand: no pod reaches them, but for its own lease's machine."""
    canary: tuple[str, ...] = ()
    """Addresses of the Service berth-canary, where there are networks of machines and it is known (``networks``)."""
    resolvers: tuple[IPv4Address | IPv6Address, ...] = ()
    """DNS servers that pods made for users ask in place of the cluster's."""
    own_networks: tuple[Network, ...] = ()
    """These, where that is so and they are known (``surroundings``)."""
    user_namespaces: UserNamespaces = UserNamespaces.NEVER
    runtimes: Runtimes = field(default_factory=Runtimes)
    """Of the cluster, as far as they matter and are known (``surroundings``)."""
    confinement: Confinement = field(default_factory=Confinement)
    """Of the pods of leases."""
    vpn: VpnSettings | None = None
    """None: none is offered."""
    clone: CloneSettings | None = None
    """None: no repository is cloned into workspaces."""
    ci: CiSettings | None = None
    """None: nothing is built."""
    archive: ArchiveSettings | None = None
    """None: logs and artifacts of builds lie in ConfigMaps."""
    history_retention: timedelta = HISTORY_RETENTION
    history: Bounds = HISTORY
    """How many Instances, Builds and Reservations that are over, of each kind."""
    history_bytes: Bounds = HISTORY_BYTES
    """The same in bytes, of all these kinds together."""
    most_objects: Mapping[str, int] = field(default_factory=dict)
    """How many objects of a kind of Berth's (its plural) a workspace namespace holds; kinds that are not here: any."""
    most_each: Mapping[str, int] = field(default_factory=dict)
    """How many of a kind that are not over one user may have in a namespace; of rules and VPN clients one instance."""
    probe_interval: timedelta | None = None
    """How often to find out whether NetworkPolicy is enforced; None for never."""
    keeper_patience: timedelta = KEEPER_PATIENCE
    """Time for what relays do at the end of a lease."""
    listen: int = 8080
    kubeconfig: str | None = None

    @property
    def out_of_reach(self) -> tuple[Network, ...]:
        """Networks that no workspace reaches, whatever its type says."""
        return (*self.blocked, *self.machines, *self.own_networks)

    @property
    def grounds(self) -> Grounds:
        """Where machines may stand, and so what a lease may open."""
        closed = (*self.blocked, *self.own_networks)
        return Grounds(self.machines, closed, tuple(ip_network(str(address)) for address in self.resolvers))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the variables. Raises SettingError."""
        settings = Settings(environment)
        settings.required("BERTH_WORKSPACE_NAMESPACES")
        return cls(
            namespace=settings.required("BERTH_NAMESPACE"),
            workspace_namespaces=settings.words("BERTH_WORKSPACE_NAMESPACES"),
            access_namespace=settings.required("BERTH_ACCESS_NAMESPACE"),
            agent_image=settings.required("BERTH_AGENT_IMAGE"),
            identity=settings.text("BERTH_IDENTITY") or socket.gethostname(),
            agent_pull_policy=settings.text("BERTH_AGENT_IMAGE_PULL_POLICY", IF_NOT_PRESENT),
            service_type=settings.read("BERTH_SERVICE_TYPE", SERVICE_TYPE, "NodePort"),
            sources=settings.read("BERTH_NETWORK_POLICY_SOURCES", TypeAdapter(Sources), Sources.ANY),
            node_addresses=settings.read("BERTH_NODE_ADDRESSES", TEXTS, {}),
            blocked=settings.read("BERTH_BLOCKED_CIDRS", NETWORKS, ()),
            machines=settings.read("BERTH_MACHINE_CIDRS", NETWORKS, ()),
            resolvers=settings.read("BERTH_RESOLVERS", ADDRESSES, ()),
            block_cluster=settings.read("BERTH_BLOCK_CLUSTER_NETWORKS", SWITCH, default=True),
            user_namespaces=settings.read("BERTH_USER_NAMESPACES", USER_NAMESPACES, UserNamespaces.AUTO),
            confinement=confinement(settings, "BERTH_INSTANCE"),
            vpn=_vpn(settings),
            clone=_clone(settings),
            ci=ci_settings(environment),
            archive=archive_settings(environment),
            history_retention=settings.read("BERTH_HISTORY_RETENTION", LENGTH, HISTORY_RETENTION),
            history=bounds(settings, "BERTH_HISTORY", HISTORY),
            history_bytes=bounds(settings, "BERTH_HISTORY_BYTES", HISTORY_BYTES),
            most_objects=settings.read("BERTH_MOST_OBJECTS", COUNTS, {}),
            most_each=settings.read("BERTH_MOST_EACH", COUNTS, {}),
            probe_interval=settings.read("BERTH_PROBE_INTERVAL", INTERVAL, None),
            keeper_patience=settings.read("BERTH_KEEPER_PATIENCE", LENGTH, KEEPER_PATIENCE),
            listen=settings.read("BERTH_LISTEN", PORT, 8080),
            kubeconfig=settings.text("KUBECONFIG") or None,
        )


def _vpn(settings: Settings) -> VpnSettings | None:
    if not (image := settings.text("BERTH_VPN_IMAGE")):
        return None
    protocol = settings.read("BERTH_VPN_PROTOCOL", TypeAdapter(Protocol), Protocol.UDP)
    network = settings.read("BERTH_VPN_NETWORK", TUNNEL, configuration.parse_network("10.92.0.0/22"))
    return VpnSettings(
        image=image,
        tunnel=Tunnel(protocol, network, names.VPN_PORT),
        pull_policy=settings.text("BERTH_VPN_IMAGE_PULL_POLICY", IF_NOT_PRESENT),
        tun=settings.read("BERTH_VPN_TUN", TUN, MKNOD),
    )


def _clone(settings: Settings) -> CloneSettings | None:
    if not (image := settings.text("BERTH_CLONE_IMAGE")):
        return None
    return CloneSettings(image, settings.text("BERTH_CLONE_IMAGE_PULL_POLICY", IF_NOT_PRESENT))
