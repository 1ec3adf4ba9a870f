"""Places to knock from, around an instance of the two-node cluster: outside, nodes, pods, the instance's own pod."""

import json
import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from knocking import Source
from lab import NAMESPACE, Lab

from berth_dev.cluster.network import NETNS_FOLDER, NETWORK, NODES, OUTSIDE, Machine
from berth_dev.processes import Identity, every_pid

MORE = [str(NETWORK[last]) for last in range(120, 129)]
"""Addresses that the first outside client gets besides its own."""
IMAGE = "localhost/berth-workspace:dev"


@dataclass(frozen=True)
class Places:
    """Where an instance is, and who is around it."""

    instance: str
    pod: str
    """Address of its pod."""
    inside: Path
    """Network namespace of its pod."""
    announced: tuple[str, int]
    sources: tuple[Source, ...]
    bridge: str
    """The node's address on the side of its pods."""

    @property
    def own_node(self) -> str:
        """The node's address on the network."""
        return self.announced[0]


@contextmanager
def around(lab: Lab, instance: str, info: Any) -> Iterator[Places]:
    """Give outside clients routes to pods and more addresses, and make two pods; all of it goes in the end."""
    pod = lab.get("pod", f"i-{instance}")
    node = next(node for node in NODES if node.name == pod["spec"]["nodeName"])
    other = next(other for other in NODES if other != node)
    address, bridge = pod["status"]["podIP"], node.pods.rpartition(".")[0] + ".1"
    with neighbours(lab) as pods, more_addresses(OUTSIDE[0], MORE), routes():
        found = netns_by_address()
        outside = [Source(f"outside {machine.address}", _path(machine), machine.address) for machine in OUTSIDE]
        outside += [Source(f"outside {one}", _path(OUTSIDE[0]), one) for one in MORE]
        yield Places(
            instance,
            address,
            found[address],
            (info["fwd"]["ipv4"], info["fwd"]["port"]),
            (
                *outside,
                Source("other node", _path(other), other.address),
                Source("own node", _path(node), node.address),
                Source("own node, bridge", _path(node), bridge),
                Source("pod of the same node", found[pods[node.name]], pods[node.name]),
                Source("pod of the other node", found[pods[other.name]], pods[other.name]),
                Source("same pod", found[address], address),
            ),
            bridge,
        )


@contextmanager
def neighbours(
    lab: Lab, namespace: str = "default", labels: Mapping[str, str] = MappingProxyType({})
) -> Iterator[dict[str, str]]:
    """Addresses of two plain pods, by node."""
    names = {node.name: f"knocks-from-{node.name}" for node in NODES}
    sleeper = {"name": "sleeper", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["sleep", "3600"]}
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
            "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [sleeper]},
        }
        for node, name in names.items()
    ]
    lab.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": pods}))
    try:
        for name in names.values():
            lab.wait(f"pod/{name}", "condition=Ready", namespace=namespace)
        yield {node: lab.get("pod", name, namespace)["status"]["podIP"] for node, name in names.items()}
    finally:
        lab.kubectl("delete", "pod", *names.values(), "-n", namespace, "--wait=false", "--ignore-not-found")


@contextmanager
def more_addresses(machine: Machine, addresses: Collection[str]) -> Iterator[None]:
    """Give an outside client further addresses."""
    _batch(machine, [f"address replace {one}/{NETWORK.prefixlen} dev eth0" for one in addresses])
    try:
        yield
    finally:
        _batch(machine, [f"address delete {one}/{NETWORK.prefixlen} dev eth0" for one in addresses])


@contextmanager
def routes() -> Iterator[None]:
    """Give outside clients the way to the pods' addresses."""
    for machine in OUTSIDE:
        _batch(machine, [f"route replace {node.pods} via {node.address}" for node in NODES])
    try:
        yield
    finally:
        for machine in OUTSIDE:
            _batch(machine, [f"route delete {node.pods} via {node.address}" for node in NODES])


def netns_by_address() -> dict[str, Path]:
    """Network namespaces of all that runs on this machine, by their IPv4 addresses."""
    seen: dict[str, Path] = {}
    # The eldest process of each stands for it: in a pod that is the one that lasts as long as the pod. Numbers of
    # processes begin anew at some time and do not say which it is.
    running = [process for process in map(Identity.of, every_pid()) if process is not None]
    for process in sorted(running, key=lambda process: (process.started, process.pid)):
        netns = Path(f"/proc/{process.pid}/ns/net")
        try:
            seen.setdefault(netns.readlink().name, netns)
        except OSError:
            continue  # it ended while we looked
    found = {}
    for path in seen.values():
        shown = subprocess.run(
            ["nsenter", f"--net={path}", "ip", "-4", "-j", "address"], capture_output=True, text=True, check=False
        )
        links = json.loads(shown.stdout) if shown.returncode == 0 else []
        found.update({entry["local"]: path for link in links for entry in link["addr_info"]})
    return found


def opened(lab: Lab, instance: str) -> None:
    """Lay a NetworkPolicy beside the instance's own that lets everything through to it: what decides is nftables."""
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "open-for-the-table", "namespace": NAMESPACE},
        "spec": {
            "podSelector": {"matchLabels": {"berth.dev/instance": instance}},
            "policyTypes": ["Ingress"],
            "ingress": [{}],
        },
    }
    lab.kubectl("apply", "-f", "-", stdin=json.dumps(policy))


def closed_again(lab: Lab) -> None:
    """Take that policy away."""
    lab.kubectl("delete", "networkpolicy", "open-for-the-table", "-n", NAMESPACE, "--ignore-not-found")


def _path(machine: Machine) -> Path:
    return NETNS_FOLDER / machine.namespace


def _batch(machine: Machine, lines: list[str]) -> None:
    command = machine.command("ip", "-force", "-batch", "-")
    subprocess.run(command, input="\n".join(lines) + "\n", text=True, check=False, capture_output=True)
