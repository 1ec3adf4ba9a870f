"""What goes wrong with nodes and processes: each is a context in which it is so; leaving it puts things right again."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from lab import Lab, Person

from berth_cluster.network import NODES, Machine
from berth_cluster.processes import Identity, every_pid
from berth_cluster.testing import BerthCluster
from berth_core import names

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
    kubelet = Identity.load(cluster.state / "pids" / f"{node}-kubelet")
    assert kubelet is not None
    with stopped(kubelet):
        lab.wait(f"node/{node}", "condition=Ready=Unknown", seconds)
        yield
    lab.wait(f"node/{node}", "condition=Ready", seconds)
    lab.wait("deployment/berth-api", f"jsonpath={{.status.readyReplicas}}={len(NODES)}", seconds, "berth")


def beside(person: Person, node: str) -> Person:
    """Return the same person, who asks the API of another node than `node`."""
    return replace(person, api=[machine.name != node for machine in NODES].index(True))


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
