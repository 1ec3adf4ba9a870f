"""Where the pods of a build may connect to: its repository, and while the script runs what that may. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from berth_core import names
from berth_core.client import Object
from berth_core.firewall import Egress, Network, egress_rules, lies_in, parse_source
from berth_core.resources import Build
from berth_operator.build.policy import DNS
from berth_operator.config import CiSettings

PORTS: Final = {"https": 443, "http": 80, "ssh": 22, "git": 9418}
_PUBLIC: Final = (ip_network("0.0.0.0/0"), ip_network("2000::/3"))
_NOT_PUBLIC: Final = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )
)
"""Special networks (IANA's registries), which no repository is fetched from unless a value allows it."""


@dataclass(frozen=True)
class Repository:
    """Where a repository is: a name or an address, and a port."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Repository":
        """Read a repository's URL. Raises ValueError where it names no host, or no port or protocol that there is."""
        parts = urlsplit(url)
        if not parts.hostname:
            raise ValueError(f"{url} names no host")
        if parts.scheme not in PORTS:
            raise ValueError(f"{url} is none of {', '.join(PORTS)}")
        return cls(parts.hostname, parts.port or PORTS[parts.scheme])

    @property
    def network(self) -> Network | None:
        """The host where it is given by its address; None for a name."""
        try:
            return ip_network(ip_address(self.host))
        except ValueError:
            return None


@dataclass(frozen=True)
class MachineDoor:
    """A build's machine: where it is announced, and the labels that choose its pod."""

    host: str
    port: int
    labels: dict[str, str]


def why_not(url: str, settings: CiSettings, blocked: Sequence[Network]) -> str:
    """Why nothing is fetched from a repository; empty where that is tried."""
    try:
        network = Repository.of(url).network
    except ValueError as error:
        return f"the project's repoURL cannot be used: {error}"
    if network is None or any(lies_in(network, allowed) for allowed in settings.allowed):
        return ""
    public = any(lies_in(network, whole) for whole in _PUBLIC)
    if public and not any(lies_in(network, other) for other in (*_NOT_PUBLIC, *blocked)):
        return ""
    return f"the repository's address {network.network_address} is not public: ask for it in the value ci.allowedCidrs"


def repository_rules(url: str, settings: CiSettings, blocked: Sequence[Network]) -> list[Object]:
    """Egress to a repository, its port only, and to DNS. A name may be any public address, or what is allowed."""
    repository = Repository.of(url)
    ports = [{"protocol": "TCP", "port": repository.port}]
    if (network := repository.network) is not None:
        return [{"to": [_block(network)], "ports": ports}]
    public = Egress(networks=_PUBLIC, blocked=(*_NOT_PUBLIC, *blocked), dns_labels=DNS)
    reached, *dns = egress_rules(public)
    rules = [reached | {"ports": ports}, *dns]
    if settings.allowed:
        # A rule apart: enforcers keep exceptions and what is allowed besides in one set for each rule.
        rules.append({"to": [_block(allowed) for allowed in settings.allowed], "ports": ports})
    return rules


def machine_rules(door: MachineDoor) -> list[Object]:
    """Egress to the machine: at its announced address, and at its pod, which that leads to."""
    announced = {"to": [_block(parse_source(door.host))], "ports": [{"protocol": "TCP", "port": door.port}]}
    pod = {"to": [{"podSelector": {"matchLabels": door.labels}}]}
    return [announced, pod | {"ports": [{"protocol": "TCP", "port": names.SSH_PORT}]}]


def policy(build: Build, egress: Sequence[Object]) -> Object:
    """Manifest for all pods of a build: nobody comes in."""
    public_id, attempt = build.public_id, build.status.attempt or 1
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": names.build_object(public_id, attempt),
            "namespace": build.metadata.namespace,
            "labels": names.build_labels(public_id, attempt),
            "ownerReferences": [build.reference()],
        },
        "spec": {
            "podSelector": {"matchLabels": {names.BUILD_LABEL: public_id}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [],
            "egress": list(egress),
        },
    }


def _block(network: Network) -> Object:
    return {"ipBlock": {"cidr": str(network)}}
