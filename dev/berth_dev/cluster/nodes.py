"""The two-node cluster: start, stop, status. All three can be repeated at any time."""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from berth_dev import packages
from berth_dev.cluster import leftovers, network
from berth_dev.cluster.control_plane import ControlPlane, ControlPlaneOptions
from berth_dev.cluster.node import Node, NodePaths, node_paths
from berth_dev.commands import run
from berth_dev.components import HELM, Toolbox, all_components, build
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.errors import ClusterError
from berth_dev.paths import require_space, state_dir
from berth_dev.processes import Identity
from berth_dev.progress import note, step

API_PORT = 6443
LOCK = Path(f"/run/{network.PREFIX}-cluster.lock")
MANIFESTS = Path(__file__).parent / "manifests"
CONFIGURATION = ("network.py", "node.py", "control_plane.py", "manifests/rbac.yaml", "manifests/runtimes.yaml")


@dataclass(frozen=True)
class Cluster(ApiServer):
    """A running two-node cluster."""

    state: Path

    def node(self, machine: network.Machine) -> NodePaths:
        """A node's files."""
        return node_paths(self.state, machine)


def start() -> Cluster:
    """Bring the cluster up, or answer the running one if it matches these files.

    Remains of a crash are cleared first. Where it cannot start, it leaves only the logs and
    raises ClusterError.
    """
    require_root()
    packages.install_missing()
    tools = build(all_components())
    state = state_dir()
    inputs = _inputs()
    with lock():
        if _recorded(state).get("inputs") == inputs and (running := find()) and _serves(running):
            note(f"the cluster in {state} is running")
            return running
        with step("removing the remains of an earlier run"):
            leftovers.clear(state)
        network.require_free(state)
        network.require_bridge_filter()
        require_space(state, 4, "the cluster")
        try:
            return _start(ControlPlaneOptions(state, network.HOST_ADDRESS, API_PORT, durable=True), tools, inputs)
        except BaseException:
            leftovers.clear(state, keep_logs=True)
            raise


def stop() -> None:
    """End the cluster and remove its state folder. Idempotent."""
    require_root()
    with lock(), step("stopping the cluster"):
        leftovers.clear(state_dir())


def find() -> Cluster | None:
    """The running cluster, whatever it was made from; None where none has started completely."""
    state = state_dir()
    supervisor = Identity.load(state / "supervisor.pid")
    recorded = _recorded(state)
    if not recorded or supervisor is None or not supervisor.alive():
        return None
    return Cluster(
        kubeconfig=state / "admin.kubeconfig",
        url=f"https://{network.HOST_ADDRESS}:{API_PORT}",
        tools=build(all_components()),
        state=state,
    )


def status() -> dict[str, str]:
    """Each supervised process and whether it runs: `running (pid N)` or `down`; empty when stopped."""
    state = state_dir()
    report: dict[str, str] = {}
    if not (state / "processes").is_dir():
        return report
    processes = [("supervisor", state / "supervisor.pid")]
    processes += [(path.stem, state / "pids" / path.stem) for path in sorted((state / "processes").glob("*.json"))]
    for name, pid_file in processes:
        identity = Identity.load(pid_file)
        report[name] = f"running (pid {identity.pid})" if identity and identity.alive() else "down"
    return report


def require_root() -> None:
    """Raise ClusterError unless we are root."""
    if os.geteuid() != 0:
        raise ClusterError("network namespaces and containers need root: run this again with sudo")


@contextmanager
def lock() -> Iterator[None]:
    """Allow one start or stop at a time on this machine."""
    with LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _start(options: ControlPlaneOptions, tools: Toolbox, inputs: str) -> Cluster:
    state = options.folder
    with step("making nodes and outside clients (network namespaces)"):
        network.create(state)
    with step("starting etcd and kube-apiserver"):
        plane = ControlPlane(options, tools)
        for control in (plane.etcd(), plane.apiserver()):
            control.save(state / "processes")
        _start_supervisor(state)
        plane.wait_ready(timeout=90)
    cluster = Cluster(kubeconfig=plane.kubeconfig, url=plane.url, tools=tools, state=state)
    with step("starting controllers, scheduler and two nodes"):
        nodes = [Node(machine, state, plane) for machine in network.NODES]
        cluster.kubectl("apply", "-f", str(MANIFESTS))
        for node in nodes:
            cluster.kubectl("apply", "-f", "-", stdin=json.dumps(node.manifest()))
        processes = [plane.controller_manager(), plane.scheduler()]
        for spec in processes + [spec for node in nodes for spec in node.processes()]:
            spec.save(state / "processes")
        cluster.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=120s")
    (state / "cluster.json").write_text(json.dumps({"inputs": inputs}), encoding="utf-8")
    return cluster


def _serves(cluster: Cluster) -> bool:
    """Whether the API server answers and the nodes are Ready, now or within a minute."""
    command: list[str | Path] = [cluster.tools.path("kubectl"), f"--kubeconfig={cluster.kubeconfig}"]
    return (
        run(
            [*command, "wait", "node", "--all", "--for=condition=Ready", "--timeout=60s"], check=False, timeout=90
        ).returncode
        == 0
    )


def _start_supervisor(state: Path) -> None:
    output = state / "logs" / "supervisor.out"
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "berth_dev", "supervise", str(state)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + 20
    while Identity.load(state / "supervisor.pid") is None:
        if process.poll() is not None or time.monotonic() > deadline:
            raise ClusterError(f"the supervisor did not start: see {output}")
        time.sleep(0.05)


def _recorded(state: Path) -> dict[str, str]:
    """Record of the last complete start; empty where there was none."""
    try:
        recorded: dict[str, str] = json.loads((state / "cluster.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return recorded


def _inputs() -> str:
    """Hash of what a cluster is made from: a change means a new cluster."""
    digest = hashlib.sha256(f"{network.NETWORK}".encode())
    for component in all_components():
        # helm is no part of the running cluster.
        digest.update(b"" if component is HELM else component.key.encode())
    for name in CONFIGURATION:
        digest.update((Path(__file__).parent / name).read_bytes())
    return digest.hexdigest()[:16]
