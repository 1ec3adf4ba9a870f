"""Whether the cluster enforces NetworkPolicy is found out, said on every type, and told in an Event and a metric.

No kubelet and no enforcer run here: the test plays both. It starts the probe's server at an address of its own on
the loopback: on both ports where nothing is enforced, on one port and without a way out where it is.
"""

import asyncio
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from berth_core.kube.types import Object
from berth_dev.envtest.apiserver import ApiServer

from .lab import PODS, POLICIES, TYPES, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver

CONDITION = "NetworkPolicyEnforced"
ADDRESS = f"127.{80 + os.getpid() % 40}.{os.getpid() // 40 % 250}.7"
PROGRAM = (
    "import asyncio, sys; from berth_operator.enforcement.server import main;"
    " asyncio.run(main([int(word) for word in sys.argv[2:]], sys.argv[1]))"
)


@contextmanager
def answering(ports: list[int], way_out: tuple[str, str]) -> Iterator[None]:
    """Play the pod, whose API server would be at ``way_out``."""
    service = {"KUBERNETES_SERVICE_HOST": way_out[0], "KUBERNETES_SERVICE_PORT": way_out[1]}
    command = [sys.executable, "-c", PROGRAM, ADDRESS, *map(str, ports)]
    process = subprocess.Popen(command, env={"PATH": os.environ["PATH"], **service})
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def probe_pod(lab: Lab, but: str = "") -> Object:
    """The probe's pod, once there is one of another name than ``but``."""
    async with asyncio.timeout(60):
        listed, version = await lab.client.list(PODS, lab.namespace, labels={"berth.dev/probe": ""})
        for pod in listed:
            if pod["metadata"]["name"] != but:
                return pod
        async for event in lab.client.watch(PODS, lab.namespace, version, labels={"berth.dev/probe": ""}):
            if event.type == "ADDED" and event.object["metadata"]["name"] != but:
                return event.object
    raise AssertionError("the watch ended")


async def runs(lab: Lab, pod: Object) -> None:
    await lab.status_patch(PODS, pod["metadata"]["name"], {"phase": "Running", "podIP": ADDRESS})


def metric(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return str(next(line.split()[1] for line in lines if line.startswith("berth_operator_network_policy_enforced ")))


@pytest.mark.alone
@pytest.mark.release(twin="tests/unit/operator/enforcement/test_decide.py")
async def test_what_the_cluster_enforces_is_a_condition_an_event_and_a_metric(
    lab: Lab, operators: Operators, apiserver: ApiServer
) -> None:
    apiserver.kubectl("label", "namespace", lab.namespace, "pod-security.kubernetes.io/enforce=restricted")
    host, port = apiserver.url.rpartition("/")[2].split(":")
    await lab.type()
    operators.start(BERTH_PROBE_INTERVAL="1s")

    lost = await probe_pod(lab)
    await lab.client.delete(PODS, lab.namespace, lost["metadata"]["name"])
    found = await lab.until(TYPES, "bench", lambda o: condition(o, CONDITION) == "ProbeNotRunning")
    assert condition(found, CONDITION, "status") == "Unknown"
    assert metric(operators.ports[0]) == "-1.0"

    pod = await probe_pod(lab, but=lost["metadata"]["name"])
    with answering([8471, 8472], (host, port)):
        await runs(lab, pod)
        found = await lab.until(TYPES, "bench", lambda o: condition(o, CONDITION) == "NotEnforced", seconds=40)
    assert condition(found, CONDITION, "status") == "False"
    assert condition(found, "Ready", "status") == "True"
    assert metric(operators.ports[0]) == "0.0"
    told = await lab.told("NetworkPolicyNotEnforced", "")
    assert told["regarding"]["name"] == "bench"

    before = pod["metadata"]["name"]
    pod = await probe_pod(lab, but=before)
    with answering([8471], ("127.0.0.1", "1")):
        await runs(lab, pod)
        await lab.until(TYPES, "bench", lambda o: condition(o, CONDITION) == "Enforced", seconds=20)
    assert metric(operators.ports[0]) == "1.0"
    for kind in (PODS, POLICIES):
        await lab.until_gone(kind, before)


async def test_where_nobody_is_to_look_the_condition_says_so(lab: Lab, operators: Operators) -> None:
    await lab.type()
    operators.start(BERTH_PROBE_INTERVAL="off")
    found = await lab.until(TYPES, "bench", lambda o: condition(o, CONDITION) == "NotProbed", seconds=30)
    assert condition(found, CONDITION, "status") == "Unknown"
