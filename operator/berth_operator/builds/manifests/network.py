"""Where the pods of a build may connect to: its repository, and while the script runs what that may. Pure."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from berth_core import hosts, names, repositories
from berth_core.firewall import Egress, Network, egress_rules, parse_source
from berth_core.kube.types import Object
from berth_core.resources import Build
from berth_operator.settings.config import Config

PORTS: Final = {"https": 443, "http": 80, "ssh": 22, "git": 9418}


@dataclass(frozen=True)
class Repository:
    """Where a repository is: a name or an address, and a port."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Repository":
        """Read a repository's URL. Raises ValueError where it names no host, port or protocol that all read alike."""
        parts = urlsplit(url)
        if not parts.hostname:
            raise ValueError(f"{url} names no host")
        if parts.scheme not in PORTS:
            raise ValueError(f"{url} is none of {', '.join(PORTS)}")
        hosts.address_of(parts.hostname)
        return cls(parts.hostname, parts.port or PORTS[parts.scheme])

    @property
    def network(self) -> Network | None:
        """The host where it is given by its address; None for a name."""
        address = hosts.address_of(self.host)
        return parse_source(str(address)) if address is not None else None


@dataclass(frozen=True)
class MachineDoor:
    """A build's machine: where it is announced, and the labels that choose its pod."""

    host: str
    port: int
    labels: dict[str, str]


def repository_egress(config: Config) -> Egress:
    """Where repositories may be: at public addresses, and where the value ``ci.allowedCidrs`` says."""
    return Egress(config.ci.allowed if config.ci else (), public=True, blocked=config.out_of_reach)


def script_egress(config: Config) -> Egress:
    """Where scripts without a machine may connect to besides: what the value ``ci.egress`` says."""
    if config.ci is None:
        return Egress()
    return Egress(config.ci.egress, public=config.ci.public, blocked=config.out_of_reach)


def why_not(url: str, reached: Egress, ports: Collection[int]) -> str:
    """Why nothing is fetched from a repository; empty where that is tried.

    ``ports`` are those that repositories may have besides the usual ones.
    """
    if not re.fullmatch(repositories.PROJECT_URL, url):
        return f"the project's repoURL is refused: it {repositories.PROJECT_URL_WANTED}"
    try:
        repository = Repository.of(url)
    except ValueError as error:
        return f"the project's repoURL cannot be used: {error}"
    if repository.port not in (*PORTS.values(), *ports):
        return f"the repository's port {repository.port} is not a usual one: ask for it in the value ci.repositoryPorts"
    network = repository.network
    if network is None or reached.reaches(network):
        return ""
    return f"the repository's address {network.network_address} is not public: ask for it in the value ci.allowedCidrs"


def repository_rules(url: str, reached: Egress, dns: Sequence[Object]) -> list[Object]:
    """Egress to a repository, its port only, and to DNS. A name may lead to any address where repositories may be."""
    repository = Repository.of(url)
    ports = [{"protocol": "TCP", "port": repository.port}]
    if (network := repository.network) is not None:
        return [{"to": [_block(network)], "ports": ports}] if reached.reaches(network) else []
    # The rule for DNS has its own port.
    return [{"ports": ports} | rule for rule in egress_rules(reached, dns)]


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
