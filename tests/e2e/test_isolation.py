"""Isolation of a pod from its node, as the kernel of a real node shows it."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import DEPLOYMENT_TYPE, NAMESPACE, Lab, Person

from berth_dev.cluster.network import NODES, Machine
from berth_dev.cluster.node import POD_PIDS
from berth_dev.envtest.testing import BerthCluster

pytestmark = pytest.mark.invariant

IMAGE: dict[str, object] = {"image": "localhost/berth-workspace:dev", "imagePullPolicy": "IfNotPresent"}
TYPE = "kept_apart"
NAME = "kept-apart"
NET_ADMIN, NOTHING = f"{1 << 12:016x}", f"{0:016x}"
TASKS = """
import _thread, threading, time
threading.stack_size(64 * 1024)
made = 0
try:
    while made < 5000:
        _thread.start_new_thread(time.sleep, (5,))
        made += 1
except RuntimeError:
    print(made)
"""
"""Threads count like processes, and take less of the pod's memory."""


@pytest.fixture(autouse=True)
def _nothing_stays(lab: Lab) -> Iterator[None]:
    """Take the type of this module away again."""
    yield
    for kind in ("wd", "wt"):
        lab.kubectl("delete", kind, NAME, "-n", NAMESPACE, "--ignore-not-found", "--timeout=60s")


def node_of(pod: Any) -> Machine:
    return next(node for node in NODES if node.name == pod["spec"]["nodeName"])


def container_id(pod: Any, container: str) -> str:
    groups = ("initContainerStatuses", "containerStatuses")
    reports = [report for group in groups for report in pod["status"].get(group, ())]
    found: str = next(report["containerID"] for report in reports if report["name"] == container)
    return found.rpartition("/")[2]


def processes(pod: Any, container: str) -> list[dict[str, str]]:
    """Read the kernel's word on a container's processes (``/proc/<pid>/status``), the first of them first."""
    wanted = container_id(pod, container)
    pids = {
        int(word)
        for folder in node_of(pod).cgroups
        for procs in folder.rglob(f"{wanted}/cgroup.procs")
        for word in procs.read_text().split()
    }
    assert pids, f"the container {container} has no process"
    shown = [Path(f"/proc/{pid}/status").read_text() for pid in sorted(pids)]
    return [
        {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
        for text in shown
    ]


def isolation(lab: Lab, instance: str) -> tuple[str, str]:
    """Status and reason of the condition UserNamespace."""
    conditions = lab.get("instance", instance)["status"]["conditions"]
    found = next(one for one in conditions if one["type"] == "UserNamespace")
    return found["status"], found["reason"]


def in_shell(person: Person, instance: str, *command: str) -> str:
    done = person.ssh(person.asks("GET", f"/instance/{instance}").json, shlex.join(command))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_root_in_a_workspace_is_nobody_on_the_node_and_its_firewall_holds(lab: Lab, ada: Person, bob: Person) -> None:
    instance = ada.takes(DEPLOYMENT_TYPE)
    assert isolation(lab, instance) == ("True", "Isolated")
    inside, outside, _ = in_shell(ada, instance, "cat", "/proc/self/uid_map").split()
    assert (inside, int(outside) >= 65536) == ("0", True)
    assert in_shell(ada, instance, "id", "-u") == "0\n"
    pod = lab.get("pod", f"i-{instance}")
    for container in ("workspace", "agent"):
        for process in processes(pod, container):
            assert all(int(uid) >= 65536 for uid in process["Uid"].split()), (container, process["Name"])
    info = ada.asks("GET", f"/instance/{instance}").json
    ada.probe(info, "open")
    bob.probe(info, "shut")
    ada.ends(instance)
    assert lab.leftovers(instance) == []


@pytest.mark.release(twin="tests/envtest/operator/test_isolation.py")
def test_the_agent_has_net_admin_and_nothing_else(lab: Lab, ada: Person) -> None:
    instance = ada.takes(DEPLOYMENT_TYPE)
    for process in processes(lab.get("pod", f"i-{instance}"), "agent"):
        held = {part: process[part] for part in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb")}
        assert held == dict.fromkeys(("CapPrm", "CapEff", "CapBnd"), NET_ADMIN) | {"CapInh": NOTHING, "CapAmb": NOTHING}
        assert (process["NoNewPrivs"], process["Seccomp"]) == ("1", "2")


@pytest.mark.release(twin="tests/envtest/operator/test_isolation.py")
def test_a_pod_that_needs_its_node_has_no_user_namespace_and_says_so(lab: Lab, ada: Person) -> None:
    hosts = {"name": "hosts", "mountPath": "/node-hosts", "hostPath": {"path": "/etc/hosts"}}
    lab.makes_type(TYPE, IMAGE | {"volumes": [hosts]})
    instance = ada.takes(TYPE)
    assert isolation(lab, instance) == ("False", "NeedsTheNode")
    assert in_shell(ada, instance, "cat", "/proc/self/uid_map").split()[:2] == ["0", "0"]
    ada.ends(instance)


@pytest.mark.release(twin="tests/envtest/operator/test_isolation.py")
def test_the_vpn_makes_its_device_in_the_nodes_namespace_and_is_nobody_after_that(lab: Lab, ada: Person) -> None:
    instance = ada.takes(DEPLOYMENT_TYPE, vpn=True)
    lab.wait(f"instance/{instance}", "condition=VPNReady")
    assert isolation(lab, instance) == ("False", "NeedsTheNode")
    (server,) = processes(lab.get("pod", f"i-{instance}"), "vpn")
    assert server["Name"] == "openvpn"
    assert {*server["Uid"].split(), *server["Gid"].split()} == {"65534"}
    assert [server[part] for part in ("CapPrm", "CapEff", "CapInh", "CapAmb")] == [NOTHING] * 4
    assert (server["NoNewPrivs"], server["Seccomp"]) == ("1", "2")


@pytest.mark.release(twin="tests/envtest/operator/test_isolation.py")
def test_a_type_runs_in_the_runtime_that_it_names(lab: Lab, cluster: BerthCluster, ada: Person) -> None:
    lab.makes_type(TYPE, IMAGE | {"runtimeClassName": "second"})
    for wanted, name in ((True, TYPE), (False, DEPLOYMENT_TYPE)):
        instance = ada.takes(name)
        pod = lab.get("pod", f"i-{instance}")
        state = cluster.node(node_of(pod)).second / "k8s.io" / container_id(pod, "workspace")
        assert state.exists() is wanted, name
        assert isolation(lab, instance) == ("True", "Isolated"), "the second handler has them too"
        ada.ends(instance)


def test_a_pod_has_so_many_processes_and_no_more(ada: Person) -> None:
    made = int(in_shell(ada, ada.takes(DEPLOYMENT_TYPE), "python3", "-c", TASKS))
    assert POD_PIDS - 100 < made < POD_PIDS
