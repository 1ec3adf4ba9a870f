"""The store is put back from a snapshot of etcd, as docs/how-to/operations.md says: nothing two-handed comes of it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from berth_core.kube.types import Object
from berth_core.leases import leasing
from berth_core.leases.availability import Lease
from berth_core.leases.leasing import BusyError
from berth_dev.commands import run
from berth_dev.components import ETCD_TOOLS, build
from berth_dev.envtest import apiserver as tiers
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import apply_crds, make_namespaces
from berth_dev.errors import ClusterError
from berth_dev.processes import Identity, ProcessSpec

from .conftest import lab_in
from .lab import DEPLOYMENTS, INSTANCES, LEASES, PODS, Lab, condition
from .process import Operators, restricted_kubeconfig
from .test_restoring import NODES, attest, ended, launch, run_on_a_silent_node

pytestmark = [pytest.mark.apiserver, pytest.mark.release(twin="tests/envtest/operator/test_restoring.py")]

ABOVE = 1_000_000
WAIT_SECONDS = 60.0
STORE = ("kube-apiserver", "etcd")


class Plane:
    """An API server and its etcd that can be stopped, put back, and started again."""

    def __init__(self, folder: Path, server: ApiServer) -> None:
        self.folder, self.server = folder, server
        self._tools = build((ETCD_TOOLS,))

    def save(self, snapshot: Path) -> None:
        flags = dict(word[2:].split("=", 1) for word in self._spec("kube-apiserver").command if "=" in word)
        where = [f"--endpoints={flags['etcd-servers']}", f"--cacert={flags['etcd-cafile']}"]
        where += [f"--cert={flags['etcd-certfile']}", f"--key={flags['etcd-keyfile']}"]
        run([self._tools.path("etcdctl"), *where, "snapshot", "save", snapshot])

    def put_back(self, snapshot: Path) -> None:
        """Stop both, make etcd's folder anew from a snapshot with later revisions, and start both."""
        specs = [self._spec(name) for name in STORE]
        running = [Identity.load(self.folder / "pids" / name) for name in STORE]
        for name in STORE:
            (self.folder / "processes" / f"{name}.json").unlink()
        eventually(lambda: not any(one is not None and one.alive() for one in running))
        data = self.folder / "etcd"
        shutil.rmtree(data)
        flags = dict(word[2:].split("=", 1) for word in self._spec_of(specs, "etcd").command if "=" in word)
        same = [f"--{flag}={flags[flag]}" for flag in ("name", "initial-cluster", "initial-advertise-peer-urls")]
        later = ["--bump-revision=1000000000", "--mark-compacted"]
        run([self._tools.path("etcdutl"), "snapshot", "restore", snapshot, f"--data-dir={data}", *same, *later])
        for spec in reversed(specs):
            spec.save(self.folder / "processes")
        eventually(self._serves)

    def _spec(self, name: str) -> ProcessSpec:
        return ProcessSpec.load(self.folder / "processes" / f"{name}.json")

    @staticmethod
    def _spec_of(specs: list[ProcessSpec], name: str) -> ProcessSpec:
        return next(spec for spec in specs if spec.name == name)

    def _serves(self) -> bool:
        try:
            self.server.kubectl("get", "pods,wt,wd,inst,rsv,fwr", "--all-namespaces")
        except ClusterError:
            return False
        return True


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    folder = tmp_path / "plane"
    folder.mkdir()
    with tiers.running(folder) as server:
        apply_crds(server)
        yield Plane(folder, server)


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.1)  # processes and sockets: nothing to watch


def berth_restore(server: ApiServer, lab: Lab) -> "subprocess.CompletedProcess[str]":
    where = ["-w", lab.namespace, "-n", lab.namespaces.release, "--above", str(ABOVE)]
    return subprocess.run(
        [sys.executable, "-m", "berth_cli.main", "restore", "--yes", *where],
        env=os.environ | {"KUBECONFIG": str(server.kubeconfig), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def held(lab: Lab, deployment: str, node: str) -> str:
    """Let an instance have a deployment, with a pod of which nothing shows that it ended; the instance's id."""
    name = await launch(lab, deployment)
    await run_on_a_silent_node(lab, node, f"i-{name}")
    return name


async def test_after_a_snapshot_was_put_back_nobody_gets_what_another_may_use_and_epochs_are_new(
    plane: Plane, tmp_path: Path
) -> None:
    server, namespaces = plane.server, make_namespaces(plane.server)
    operators = Operators(restricted_kubeconfig(server, namespaces, tmp_path), namespaces, tmp_path)
    async with lab_in(server, namespaces) as lab:
        try:
            await from_snapshot(plane, operators, lab, tmp_path / "snapshot.db")
        finally:
            operators.stop_all()


async def from_snapshot(plane: Plane, operators: Operators, lab: Lab, snapshot: Path) -> None:
    node = f"node-{lab.namespace}"
    process = operators.start()
    leads = (LEASES, "berth-operator", bool)
    await lab.until(*leads, namespace=lab.namespaces.release, seconds=WAIT_SECONDS)
    await lab.client.create(NODES, None, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    await lab.type()
    for name in ("one", "two"):
        await lab.deployment(name)
    earlier = await held(lab, "one", node)
    plane.save(snapshot)
    # Life goes on: the snapshot knows nothing of these leases.
    await lab.client.patch(INSTANCES, lab.namespace, earlier, {"spec": {"terminate": True}})
    await attest(lab, f"i-{earlier}")
    assert await ended(lab, earlier) == "Terminated"
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free")
    later, other = [await held(lab, name, node) for name in ("one", "two")]
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    _, version = await lab.client.list(PODS, lab.namespace)

    plane.put_back(snapshot)
    _, now = await lab.client.list(PODS, lab.namespace)
    assert int(now) > int(version), "no watch takes what is old for new"
    assert ((await lab.lease("one")) or {})["instance"] == earlier, "an older lease is back"
    for lost in (later, other):
        assert await lab.absent(INSTANCES, lost)

    done: list[subprocess.CompletedProcess[str]] = []

    def restored() -> bool:  # the snapshot's leader counts as running for 15 s
        done.append(berth_restore(plane.server, lab))
        return "the operator runs" not in done[-1].stderr

    eventually(restored)
    assert done[-1].returncode == 0, done[-1].stderr
    plane.server.kubectl("delete", "pods", "-n", lab.namespace, "-l", "berth.dev/epoch", "--wait=false")
    assert (await lab.get(DEPLOYMENTS, "one"))["status"]["epoch"] == ABOVE + 1

    operators.start()
    assert ((await lab.lease("one")) or {})["instance"] == earlier
    with pytest.raises(BusyError):
        await taken(lab, "one")
    free = await lab.until(DEPLOYMENTS, "two", lambda o: condition(o, "Available") == "Free", seconds=30)
    assert free["status"]["epoch"] == ABOVE
    await attest(lab, f"i-{earlier}")
    assert await ended(lab, earlier) == "Restored"
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free", seconds=30)
    assert (await taken(lab, "one")).epoch == ABOVE + 2
    assert (await taken(lab, "two")).epoch == ABOVE + 1
    stale: Object = {"deployment": "two", "epoch": 1}
    assert await ended(lab, await lab.instance(deployments=["two"], claim=stale)) == "ClaimLost"


async def taken(lab: Lab, deployment: str) -> Lease:
    now = datetime.now(UTC)
    return await leasing.take(lab.client, lab.namespace, deployment, instance=f"of-{deployment}", user="bob", now=now)
