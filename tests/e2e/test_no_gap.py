"""A forbidden address never gets in: not while an instance starts, changes or ends, nor while something dies."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lab import DEPLOYMENT_TYPE, NAMESPACE, Lab, Person
from places import netns_by_address, routes
from stranger import Stranger

from berth_dev.cluster.network import NETNS_FOLDER, NODES
from berth_dev.envtest.testing import BerthCluster
from berth_dev.processes import Identity

pytestmark = [
    pytest.mark.nodes,
    pytest.mark.release(twin="tests/envtest/agent/test_firewall.py"),
    pytest.mark.invariant,
]

CHANGES = 12


def first_line(lab: Lab, kind: str, instance: str, path: str) -> str:
    """Watch what belongs to an instance until it has a field."""
    words = [
        "get",
        kind,
        "-n",
        NAMESPACE,
        "-l",
        f"berth.dev/instance={instance}",
        "-w",
        "-o",
        f"jsonpath={path}{{'\\n'}}",
    ]
    command = [str(lab.kubectl_program), f"--kubeconfig={lab.kubeconfig}", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        try:
            return next(line.strip() for line in watch.stdout if line.strip())
        finally:
            watch.kill()


def kill_agent(lab: Lab, instance: str) -> None:
    """Kill the agent of an instance, and nothing else in its pod."""
    address = lab.get("pod", f"i-{instance}")["status"]["podIP"]
    netns = netns_by_address()[address].readlink()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "ns" / "net").readlink() == netns and b"berth_agent" in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:
            continue  # it ended while we looked
    lab.wait(f"pod/i-{instance}", "jsonpath={.status.initContainerStatuses[0].restartCount}=1", seconds=60)


def kill_pods(lab: Lab, component: str) -> None:
    """Kill all replicas of a process, and wait until others serve."""
    selector = f"app.kubernetes.io/component={component}"
    replicas = lab.get("deployment", f"berth-{component}", "berth")["spec"]["replicas"]
    before = {pod["metadata"]["uid"] for pod in lab.objects("pods", selector, "berth")}
    lab.kubectl("delete", "pods", "-n", "berth", "-l", selector, "--grace-period=0", "--force")
    # The Deployment may go on saying for a moment that all are there.
    until = time.monotonic() + 60
    while len(ready_pods(lab, selector) - before) < replicas:
        assert time.monotonic() < until, f"no others came: {component}"


def ready_pods(lab: Lab, selector: str) -> set[str]:
    """Uids of Berth's own pods that are ready."""
    return {
        pod["metadata"]["uid"]
        for pod in lab.objects("pods", selector, "berth")
        for condition in pod["status"].get("conditions", ())
        if (condition["type"], condition["status"]) == ("Ready", "True")
    }


def kill_kubelet(cluster: BerthCluster, name: str) -> None:
    """Kill the kubelet of a node, and wait until the supervisor has started another and the node is Ready."""
    path = cluster.state / "pids" / f"{name}-kubelet"
    before = Identity.load(path)
    assert before is not None
    os.kill(before.pid, signal.SIGKILL)
    until = time.monotonic() + 30
    while (now := Identity.load(path)) is None or now.pid == before.pid or not now.alive():
        assert time.monotonic() < until, "no kubelet was started again"


def rules_change(ada: Person, bob: Person, instance: str) -> None:
    """Rules for others, against the stranger, and none at all, again and again; at last the holder comes in again."""
    for n in range(CHANGES):
        source, action = ((f"203.0.113.{n}/32", "ACCEPT"), (bob.address(), "REJECT"), (bob.address(), "DROP"))[n % 3]
        assert ada.asks("POST", f"/firewall/{instance}", {"src": source, "action": action}).status == 200
        if n % 4 == 3:
            assert ada.asks("DELETE", f"/firewall/{instance}").status == 200
    assert ada.asks("POST", f"/firewall/{instance}", {"src": f"{ada.address()}/32"}).status == 200


def asks_until_answered(ada: Person, instance: str) -> Any:
    """Details of the instance, once the API serves again."""
    until = time.monotonic() + 60
    while True:
        try:
            answer = ada.asks("GET", f"/instance/{instance}")
            if answer.status == 200:
                return answer.json
        except AssertionError:
            pass  # curl's word that nobody answers
        assert time.monotonic() < until, "the API did not come back"


def test_a_forbidden_address_never_gets_in_whatever_happens(
    lab: Lab, cluster: BerthCluster, ada: Person, bob: Person
) -> None:
    with routes(), Stranger(NETNS_FOLDER / bob.client) as prober:
        made = ada.asks("POST", f"/new/{DEPLOYMENT_TYPE}", {"sshkey": ada.public_key()})
        instance = str(made.json["id"])
        port = int(first_line(lab, "services", instance, "{.spec.ports[0].nodePort}"))
        for node in NODES:
            prober.tries(node.address, port)
        prober.tries(first_line(lab, "pods", instance, "{.status.podIP}"), 22)
        lab.wait(f"instance/{instance}", "condition=Ready")
        info = ada.asks("GET", f"/instance/{instance}").json
        assert info["fwd"]["port"] == port
        ada.probe(info, "open")
        node = lab.get("pod", f"i-{instance}")["spec"]["nodeName"]
        happenings: dict[str, Callable[[], None]] = {
            "rules change": lambda: None,
            "the agent is killed": lambda: kill_agent(lab, instance),
            "the operator is killed": lambda: kill_pods(lab, "operator"),
            "the API is killed": lambda: kill_pods(lab, "api"),
            "the kubelet is killed": lambda: kill_kubelet(cluster, node),
        }
        for happens in happenings.values():
            happens()
            asks_until_answered(ada, instance)
            rules_change(ada, bob, instance)
            ada.probe(info, "open", seconds=60)
        lab.wait(f"instance/{instance}", "condition=Ready", seconds=60)
        ada.ends(instance)
        got_in, tried, pause = prober.gives_up()
    print(json.dumps({"tried": tried, "longest pause": pause}))  # noqa: T201 (how hard it was tried)
    assert got_in == []
    assert tried >= 3000, "the outside client hardly tried"
