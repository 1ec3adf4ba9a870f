"""READY and the end as somebody outside meets them while a node's own processes stand still."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from lab import DEPLOYMENT_TYPE, Lab, Person

from berth_dev.cluster.network import NODES
from berth_dev.envtest.testing import BerthCluster
from berth_dev.processes import Identity

pytestmark = [pytest.mark.nodes, pytest.mark.release(twin="tests/envtest/api/test_with_operator.py")]

REASON = 'jsonpath={.status.conditions[?(@.type=="Ready")].reason}'
SECONDS_TO_HEAR_OF_THE_END = 5


@contextmanager
def paused(cluster: BerthCluster, program: str) -> Iterator[None]:
    """Stop a program on all nodes for the length of a ``with`` block."""
    found = [Identity.load(cluster.state / "pids" / f"{node.name}-{program}") for node in NODES]
    running = [process for process in found if process is not None and process.alive()]
    assert len(running) == len(NODES), f"{program} does not run everywhere"
    try:
        for process in running:
            process.send(signal.SIGSTOP)
        yield
    finally:
        for process in running:
            process.send(signal.SIGCONT)


def test_ready_waits_for_a_node_that_does_not_serve_the_port_yet(lab: Lab, cluster: BerthCluster, ada: Person) -> None:
    with paused(cluster, "kube-proxy"):
        made = ada.asks("POST", f"/new/{DEPLOYMENT_TYPE}", {"sshkey": ada.public_key()})
        instance = made.json["id"]
        lab.wait(f"instance/{instance}", f"{REASON}=PathRefused", seconds=25)
        assert ada.asks("GET", f"/instance/{instance}").json["status"] == "INIT"
    lab.wait(f"instance/{instance}", "condition=Ready", seconds=30)
    assert ada.ssh(ada.asks("GET", f"/instance/{instance}").json, "echo", "aboard").stdout == "aboard\n"
    ada.ends(instance)


def test_a_client_that_only_waits_hears_of_the_end_though_no_kubelet_runs(
    lab: Lab, cluster: BerthCluster, ada: Person
) -> None:
    instance = ada.takes(DEPLOYMENT_TYPE)
    info = ada.asks("GET", f"/instance/{instance}").json
    command = ada.ssh_command(info, "echo aboard; sleep 600")
    with subprocess.Popen(command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as client:
        try:
            assert client.stdout is not None
            assert client.stdout.readline() == "aboard\n"
            with paused(cluster, "kubelet"):
                assert ada.asks("POST", f"/terminate/{instance}").status == 200
                assert client.wait(SECONDS_TO_HEAR_OF_THE_END) == 255
        finally:
            client.kill()
    lab.wait(f"instance/{instance}", "condition=Ended")
