"""Settings of the operator from its environment, read once (operator/README.md lists the variables)."""

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Literal, Self

import orjson

from berth_core import durations, names
from berth_core.archive.settings import ArchiveSettings, archive_settings
from berth_core.firewall import Network, Sources, parse_network
from berth_core.resources import KINDS
from berth_core.vpn import Protocol, Tunnel, configuration
from berth_operator.settings.builds import Bounds, CiSettings, bounds, ci_settings
from berth_operator.settings.confinement import Confinement, confinement
from berth_operator.settings.runtimes import Runtimes, UserNamespaces

__all__ = ["CiSettings", "CloneSettings", "Config", "ServiceType", "VpnSettings"]

ServiceType = Literal["NodePort", "LoadBalancer"]
HISTORY: Final = Bounds(per_user=1000, per_namespace=10_000)
HISTORY_BYTES: Final = Bounds(per_user=16 << 20, per_namespace=128 << 20)
MKNOD: Final = "mknod"
PRIVILEGED: Final = "privileged"
"""Ways to /dev/net/tun; any other word is the name of a device resource."""
_RESOURCE: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")


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
    sources: Sources = Sources.EXACT
    node_addresses: Mapping[str, str] | None = None
    blocked: tuple[Network, ...] = ()
    """Networks that no workspace reaches, by an administrator's word."""
    block_cluster: bool = False
    """Whether workspaces do not reach the cluster's own networks either."""
    machines: tuple[Network, ...] = ()
    """Networks where machines stand: no pod reaches them by what its type names."""
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
    history_retention: timedelta = timedelta(days=30)
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
    listen: int = 8080
    kubeconfig: str | None = None

    @property
    def out_of_reach(self) -> tuple[Network, ...]:
        """Networks that no workspace reaches, whatever its type says."""
        return (*self.blocked, *self.machines, *self.own_networks)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the variables; ValueError names the one that is missing or malformed."""
        return cls(
            namespace=_required(environment, "BERTH_NAMESPACE"),
            workspace_namespaces=_words(_required(environment, "BERTH_WORKSPACE_NAMESPACES")),
            access_namespace=_required(environment, "BERTH_ACCESS_NAMESPACE"),
            agent_image=_required(environment, "BERTH_AGENT_IMAGE"),
            identity=environment.get("BERTH_IDENTITY") or socket.gethostname(),
            agent_pull_policy=environment.get("BERTH_AGENT_IMAGE_PULL_POLICY") or "IfNotPresent",
            service_type=_service_type(environment.get("BERTH_SERVICE_TYPE") or "NodePort"),
            sources=_sources(environment.get("BERTH_NETWORK_POLICY_SOURCES") or "exact"),
            node_addresses=_addresses(environment.get("BERTH_NODE_ADDRESSES") or "{}"),
            blocked=_networks(environment, "BERTH_BLOCKED_CIDRS"),
            machines=_networks(environment, "BERTH_MACHINE_CIDRS"),
            resolvers=_resolvers(environment.get("BERTH_RESOLVERS", "")),
            block_cluster=environment.get("BERTH_BLOCK_CLUSTER_NETWORKS", "true").lower() == "true",
            user_namespaces=_user_namespaces(environment.get("BERTH_USER_NAMESPACES") or "auto"),
            confinement=confinement(environment, "BERTH_INSTANCE"),
            vpn=_vpn(environment),
            clone=_clone(environment),
            ci=ci_settings(environment),
            archive=archive_settings(environment),
            history_retention=_length(environment, "BERTH_HISTORY_RETENTION", "30d"),
            history=bounds(environment, "BERTH_HISTORY", HISTORY),
            history_bytes=bounds(environment, "BERTH_HISTORY_BYTES", HISTORY_BYTES),
            most_objects=_counts(environment, "BERTH_MOST_OBJECTS"),
            most_each=_counts(environment, "BERTH_MOST_EACH"),
            probe_interval=_interval(environment, "BERTH_PROBE_INTERVAL"),
            listen=_port(environment.get("BERTH_LISTEN") or "8080"),
            kubeconfig=environment.get("KUBECONFIG") or None,
        )


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise ValueError(f"the environment variable {name} is not set")
    return value


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _service_type(text: str) -> ServiceType:
    match text:
        case "NodePort" | "LoadBalancer":
            return text
    raise ValueError(f"BERTH_SERVICE_TYPE is {text!r}; write NodePort or LoadBalancer")


def _sources(text: str) -> Sources:
    try:
        return Sources(text)
    except ValueError as exc:
        raise ValueError(f"BERTH_NETWORK_POLICY_SOURCES is {text!r}; write exact or any") from exc


def _user_namespaces(text: str) -> UserNamespaces:
    earlier = {"true": UserNamespaces.ALWAYS, "false": UserNamespaces.NEVER}  # values of before there was `auto`
    try:
        return earlier.get(text) or UserNamespaces(text)
    except ValueError as exc:
        raise ValueError(f"BERTH_USER_NAMESPACES is {text!r}; write auto, always or never") from exc


def _addresses(text: str) -> Mapping[str, str]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise ValueError("BERTH_NODE_ADDRESSES is not JSON") from exc
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError("BERTH_NODE_ADDRESSES must be a JSON object of node names and addresses")
    return found


def _counts(environment: Mapping[str, str], name: str) -> Mapping[str, int]:
    try:
        found = orjson.loads(environment.get(name) or "{}")
    except orjson.JSONDecodeError as exc:
        raise ValueError(f"{name} is not JSON") from exc
    plurals = {kind.api().plural for kind in KINDS}
    if not isinstance(found, dict) or not all(type(most) is int and most > 0 for most in found.values()):
        raise ValueError(f"{name} must be a JSON object of kinds and positive numbers")
    if unknown := found.keys() - plurals:
        raise ValueError(f"{name} names {min(unknown)}; write plurals of Berth's kinds")
    return found


def _networks(environment: Mapping[str, str], name: str) -> tuple[Network, ...]:
    try:
        return tuple(map(parse_network, _words(environment.get(name, ""))))
    except ValueError as exc:
        raise ValueError(f"{name}: {exc}") from exc


def _resolvers(text: str) -> tuple[IPv4Address | IPv6Address, ...]:
    try:
        return tuple(ip_address(word) for word in _words(text))
    except ValueError as exc:
        raise ValueError(f"BERTH_RESOLVERS: {exc}; write addresses, not names") from exc


def _vpn(environment: Mapping[str, str]) -> VpnSettings | None:
    image = environment.get("BERTH_VPN_IMAGE", "").strip()
    if not image:
        return None
    protocol = environment.get("BERTH_VPN_PROTOCOL") or "udp"
    if protocol not in tuple(Protocol):
        raise ValueError(f"BERTH_VPN_PROTOCOL is {protocol!r}; write udp or tcp")
    try:
        network = configuration.parse_network(environment.get("BERTH_VPN_NETWORK") or "10.92.0.0/22")
    except ValueError as exc:
        raise ValueError(f"BERTH_VPN_NETWORK: {exc}") from exc
    tun = environment.get("BERTH_VPN_TUN") or MKNOD
    if tun not in (MKNOD, PRIVILEGED) and not _RESOURCE.fullmatch(tun):
        raise ValueError(f"BERTH_VPN_TUN is {tun!r}; write mknod, privileged, or the name of a device resource")
    return VpnSettings(
        image=image,
        tunnel=Tunnel(Protocol(protocol), network, names.VPN_PORT),
        pull_policy=environment.get("BERTH_VPN_IMAGE_PULL_POLICY") or "IfNotPresent",
        tun=tun,
    )


def _clone(environment: Mapping[str, str]) -> CloneSettings | None:
    image = environment.get("BERTH_CLONE_IMAGE", "").strip()
    if not image:
        return None
    return CloneSettings(image, environment.get("BERTH_CLONE_IMAGE_PULL_POLICY") or "IfNotPresent")


def _length(environment: Mapping[str, str], name: str, default: str) -> timedelta:
    try:
        return durations.parse(environment.get(name) or default)
    except ValueError as exc:
        raise ValueError(f"{name}: {exc}") from exc


def _interval(environment: Mapping[str, str], name: str) -> timedelta | None:
    return None if (environment.get(name) or "off") == "off" else _length(environment, name, "")


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise ValueError(f"BERTH_LISTEN is {text!r}; write a port number")
    return int(text)
