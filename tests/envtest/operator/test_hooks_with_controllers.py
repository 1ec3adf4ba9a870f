"""Hooks beside Kubernetes' own Job controller and garbage collector. The kubelet's words are the test's."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from berth_core.kube.types import Object
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces, make_namespaces

from .conftest import lab_in
from .hooks import BOTH, JOBS, borrowed, end, exited, has_ended, reads, started
from .lab import INSTANCES, PODS, SECRETS, Lab, condition
from .process import Operators, restricted_kubeconfig

pytestmark = pytest.mark.apiserver


@pytest.fixture
def spaces(controllers: ApiServer) -> Namespaces:
    return make_namespaces(controllers)


@pytest.fixture
async def field(controllers: ApiServer, spaces: Namespaces) -> AsyncIterator[Lab]:
    async with lab_in(controllers, spaces) as made:
        yield made


@pytest.fixture
def operators(controllers: ApiServer, spaces: Namespaces, tmp_path: Path) -> Iterator[Operators]:
    made = Operators(restricted_kubeconfig(controllers, spaces, tmp_path), spaces, tmp_path)
    yield made
    made.stop_all()


async def pod_that_runs(lab: Lab, job: str, but: str = "") -> str:
    """Name of the pod that the Job controller made, another than one before."""

    def another(pods: list[Object]) -> list[str]:
        return [pod["metadata"]["name"] for pod in pods if pod["metadata"]["name"] != but]

    labels = {"batch.kubernetes.io/job-name": job}
    async with asyncio.timeout(60):
        pods, version = await lab.client.list(PODS, lab.namespace, labels=labels)
        while not another(pods):
            async for event in lab.client.watch(PODS, lab.namespace, version, labels=labels):
                version = event.object["metadata"]["resourceVersion"]
                pods = [] if event.type == "BOOKMARK" else [event.object]
                if another(pods):
                    break
    return another(pods)[0]


async def evicted(lab: Lab, pod: str) -> None:
    """A drain's word, and the kubelet's after it."""
    found = await lab.get(PODS, pod)
    why = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "lastTransitionTime": found["metadata"]["creationTimestamp"],
    }
    await lab.status_patch(PODS, pod, {"conditions": [why]})
    await exited(lab, pod, 143)


@pytest.mark.release(twin="tests/envtest/operator/test_hooks.py")
async def test_a_lease_with_hooks_from_one_user_to_a_quarantine(field: Lab, operators: Operators) -> None:
    operators.start()
    uid = await borrowed(field, BOTH | {"prepare": {"command": ["/home"]}})
    await exited(field, await pod_that_runs(field, await started(field, uid, "prepare")), 0)
    await field.until(PODS, f"i-{uid}", bool, seconds=20)
    assert condition(await field.get(INSTANCES, "mine"), "Prepared", "status") == "True"
    await end(field)
    reset = await started(field, uid, "reset", seconds=20)
    assert await field.absent(JOBS, f"i-{uid}-e1-prepare")
    first = await pod_that_runs(field, reset)
    await evicted(field, first)
    # A drained node has not made it fail: another pod begins it anew.
    await exited(field, await pod_that_runs(field, reset, but=first), 0)
    health = await started(field, uid, "health", seconds=20)
    await exited(field, await pod_that_runs(field, health), 3)
    shut = await reads(field, "Quarantined", seconds=20)
    assert condition(shut, "Quarantined") == "HealthCheckFailed"
    assert "the hook healthCheck failed: exit code 3." in str(condition(shut, "Quarantined", "message"))
    await has_ended(field, seconds=20)
    for kind in (JOBS, PODS, SECRETS):
        assert (await field.client.list(kind, field.namespace, labels={"berth.dev/instance": uid}))[0] == []
