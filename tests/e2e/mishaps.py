"""Failures of nodes and processes: each is a context manager, whose end repairs the failure."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import yaml
from lab import Lab, Person

from berth_core import names
from berth_dev.cluster.network import NODES, Machine
from berth_dev.envtest.testing import BerthCluster
from berth_dev.processes import Identity, every_pid

CUT = f"""\
table inet cut {{
  chain cut {{
    type filter hook forward priority -300
    tcp dport {names.AGENT_PORT} drop
  }}
}}
"""


@contextmanager
def stopped(process: Identity) -> Iterator[None]:
    """A process gets no time: it holds its connections and says nothing."""
    process.send(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send(signal.SIGCONT)


@contextmanager
def kubelet_stopped(lab: Lab, cluster: BerthCluster, node: str, seconds: int = 120) -> Iterator[None]:
    """A node whose kubelet says nothing, from when on the cluster counts it as lost; Ready again afterwards.

    Meanwhile the node drops what is for the API: its Service sends to Ready pods of the same node only.
    """
    with stopped(kubelet_of(cluster, node)):
        lab.wait(f"node/{node}", "condition=Ready=Unknown", seconds)
        yield
    lab.wait(f"node/{node}", "condition=Ready", seconds)
    lab.wait("deployment/berth-api", f"jsonpath={{.status.readyReplicas}}={len(NODES)}", seconds, "berth")


def beside(person: Person, node: str) -> Person:
    """Return the same person, who asks the API of another node than `node`."""
    return replace(person, api=[machine.name != node for machine in NODES].index(True))


@contextmanager
def cordoned(lab: Lab, node: str) -> Iterator[None]:
    """A node that takes no new pods."""
    lab.kubectl("cordon", node)
    try:
        yield
    finally:
        lab.kubectl("uncordon", node)


@contextmanager
def drained(lab: Lab, node: str, seconds: int = 120) -> Iterator["subprocess.Popen[str]"]:
    """A drain that has begun, with what it says on stderr; the node takes pods again afterwards."""
    words = ("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", f"--timeout={seconds}s")
    command = [str(lab.kubectl_program), f"--kubeconfig={lab.kubeconfig}", *words]
    try:
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as draining:
            try:
                yield draining
            finally:
                draining.kill()
    finally:
        lab.kubectl("uncordon", node)
        berth_is_whole(lab)


@contextmanager
def node_deleted(lab: Lab, cluster: BerthCluster, node: str, seconds: int = 120) -> Iterator[None]:
    """A node of which the cluster knows nothing, and whose pods it has collected; Ready again afterwards."""
    spec = json.loads(lab.kubectl("get", "node", node, "-o", "json"))["spec"]
    again = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}, "spec": spec}
    lab.kubectl("delete", "node", node)
    try:
        yield
    finally:
        lab.kubectl("apply", "-f", "-", stdin=json.dumps(again))
        # Only a kubelet that begins registers its node. The supervisor starts it again.
        kubelet_of(cluster, node).send(signal.SIGKILL)
        lab.wait(f"node/{node}", "condition=Ready", seconds)
        # While there was one node, both replicas of the API may have come there.
        lab.kubectl("delete", "pods", "-n", "berth", "-l", "app.kubernetes.io/component=api", "--wait=false")
        berth_is_whole(lab)


@contextmanager
def disk_nearly_full(lab: Lab, cluster: BerthCluster, node: str, left: int, seconds: int = 120) -> Iterator[None]:
    """A node whose kubelet counts its disk as full once `left` more bytes are used; without pressure afterwards."""
    folder = next(cluster.node(machine).folder for machine in NODES if machine.name == node)
    path = folder / "kubelet.yaml"
    before = path.read_text(encoding="utf-8")
    config = yaml.safe_load(before)
    config["evictionHard"]["nodefs.available"] = str(shutil.disk_usage(folder).free - left)
    try:
        _configured(lab, cluster, node, path, yaml.safe_dump(config), seconds)
        yield
    finally:
        _configured(lab, cluster, node, path, before, seconds)
        lab.wait(f"node/{node}", "condition=DiskPressure=False", seconds)
        berth_is_whole(lab)


def _configured(lab: Lab, cluster: BerthCluster, node: str, path: Path, text: str, seconds: int) -> None:
    """Let a kubelet begin again with another configuration, and wait until it answers with it."""
    path.write_text(text, encoding="utf-8")
    kubelet_of(cluster, node).send(signal.SIGKILL)
    wanted, until = yaml.safe_load(text)["evictionHard"], time.monotonic() + seconds
    while True:
        answer = lab.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/configz", check=False)
        if answer.startswith("{") and json.loads(answer)["kubeletconfig"]["evictionHard"] == wanted:
            return
        assert time.monotonic() < until, f"the kubelet of {node} did not begin again: {answer}"


def kubelet_of(cluster: BerthCluster, node: str) -> Identity:
    """Return the process of a node's kubelet."""
    found = Identity.load(cluster.state / "pids" / f"{node}-kubelet")
    assert found is not None
    return found


def berth_is_whole(lab: Lab) -> None:
    """Wait until every replica of Berth's is there."""
    for component in ("api", "operator"):
        lab.kubectl("rollout", "status", f"deployment/berth-{component}", "-n", "berth", "--timeout=100s")


@contextmanager
def agents_cut_off() -> Iterator[None]:
    """No packet of the operator reaches an agent, on either node."""
    with ExitStack() as cuts:
        for node in NODES:
            _nft(node, CUT)
            cuts.callback(_nft, node, "delete table inet cut")
        yield


@contextmanager
def leader_stopped(lab: Lab, seconds: float = 30) -> Iterator[None]:
    """The leader gets no time, and another operator leads; then the first goes on as if it still led."""
    before = leader(lab)
    with stopped(_process_of(before.split("_")[0], b"berth-operator")):
        until = time.monotonic() + seconds
        while leader(lab) in ("", before):
            assert time.monotonic() < until, "no other operator leads"
        yield


def leader(lab: Lab) -> str:
    """Return the identity of the operator that leads: its pod's name and a random part."""
    lease = json.loads(lab.kubectl("get", "lease", "berth-operator", "-n", "berth", "-o", "json"))
    return str(lease["spec"].get("holderIdentity") or "")


def _process_of(pod: str, program: bytes) -> Identity:
    """Find a program's process in a pod, by the name that the kubelet gives the pod's host."""
    for pid in every_pid():
        process = Path(f"/proc/{pid}")
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
            if program in (process / "cmdline").read_bytes() and f"HOSTNAME={pod}".encode() in environment:
                found = Identity.of(pid)
                assert found is not None
                return found
        except OSError:
            continue  # it ended while we looked
    raise AssertionError(f"no {program.decode()} runs in pod {pod}")


def _nft(node: Machine, text: str) -> None:
    subprocess.run(node.command("nft", "-f", "-"), input=text, text=True, check=True)


def node_of(lab: Lab, instance: str) -> str:
    """Return the node that an instance's pod runs on."""
    return str(lab.get("pod", f"i-{instance}")["spec"]["nodeName"])
