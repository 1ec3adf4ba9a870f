"""A node that nobody hears of. This tier has no kubelets, so every node is one."""

import itertools
from typing import Any

import pytest
from forked import Process

from berth_core import names
from berth_core.kube.connection import connected
from berth_core.kube.types import Kind, Object
from berth_dev.envtest.apiserver import ApiServer

from .lab import DEPLOYMENTS, INSTANCES, PODS, SECRETS, Lab, condition, mounted
from .process import Operators
from .test_archive import until

pytestmark = pytest.mark.apiserver

NODES = Kind("v1", "nodes", namespaced=False)


OVER = {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}}


def said(pod: Object, state: Object) -> Object:
    """A status in which a kubelet says the same of every container."""

    def of(containers: list[Object]) -> list[Object]:
        fixed = {"ready": False, "restartCount": 0, "image": "", "imageID": ""}
        return [{"name": one["name"], "state": state, **fixed} for one in containers]

    return {
        "initContainerStatuses": of(pod["spec"]["initContainers"]),
        "containerStatuses": of(pod["spec"]["containers"]),
    }


async def bound_to_a_node(lab: Lab) -> tuple[str, str]:
    """An Instance `mine` whose pod is bound to a node; names of node and pod."""
    node = f"node-{lab.namespace}"
    await lab.client.create(NODES, None, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    await lab.type()
    await lab.deployment("one")
    await lab.instance("mine", workspaceType="bench")
    made = await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound", "status") == "True")
    pod = f"i-{made['metadata']['uid']}"
    await lab.until(PODS, pod, bool)
    target: dict[str, Any] = {"apiVersion": "v1", "kind": "Node", "name": node}
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
    await lab.client.request("POST", PODS.path(lab.namespace, pod, "binding"), body=binding)
    return node, pod


async def decided_anew(lab: Lab, operators: Operators) -> None:
    """Wait until the operator knows of all that was done to pods, and has gone through a whole pass since."""
    labels = {names.MANAGED_BY_LABEL: names.MANAGED_BY, names.INSTANCE_LABEL: "nobody"}
    containers = [{"name": "workspace", "image": "workspace.invalid/none:1"}]
    after: Object = {"metadata": {"name": "after", "labels": labels}, "spec": {"containers": containers}}
    await lab.client.create(PODS, lab.namespace, after)
    await lab.until_gone(PODS, "after")  # it is told of later than they are, and deleted as nobody's
    log, numbers = operators.folder / "operator-0.log", itertools.count()

    def passes() -> int:
        return log.read_text().count('"event":"decided"')

    before = passes()

    async def has_passed() -> bool:
        woken = {"metadata": {"labels": {"number": str(next(numbers))}}}
        await lab.client.patch(INSTANCES, lab.namespace, "mine", woken)
        return passes() >= before + 3  # one that was under way, a whole one, and the begin of the next

    await until(has_passed)


async def test_its_lease_stays_in_quarantine_until_an_administrator_attests(lab: Lab, operator: Process) -> None:
    node, pod = await bound_to_a_node(lab)
    lost = await lab.until(INSTANCES, "mine", lambda o: condition(o, "Ready") == "NodeLost")
    assert node in str(condition(lost, "Ready", "message"))
    await lab.client.patch(INSTANCES, lab.namespace, "mine", {"spec": {"terminate": True}})
    told = await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Quarantined", "status") == "True")
    assert "berth release one --force --reason" in str(condition(told, "Quarantined", "message"))
    assert await lab.lease("one") is not None
    await lab.until(PODS, pod, lambda o: o["metadata"].get("deletionTimestamp"))
    attest = {"metadata": {"annotations": {"berth.dev/released-by-force": "the machine is off"}}}
    await lab.client.patch(PODS, lab.namespace, pod, attest)
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Ended", "status") == "True")
    free = await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free")
    assert condition(free, "Quarantined", "status") == "False"
    assert operator.poll() is None


@pytest.mark.release(
    twin="tests/envtest/operator/test_silent_node.py::test_its_lease_stays_in_quarantine_until_an_administrator_attests"
)
async def test_a_pod_that_waits_for_secrets_that_are_gone_is_made_anew(lab: Lab, operator: Process) -> None:
    _, pod = await bound_to_a_node(lab)
    first = await lab.get(PODS, pod)
    for secret in mounted(first):
        await lab.client.delete(SECRETS, lab.namespace, secret)
    await lab.until(PODS, pod, lambda o: o["metadata"].get("deletionTimestamp"), seconds=30)
    await lab.status_patch(PODS, pod, {"phase": "Failed", **said(first, {"waiting": {"reason": "PodInitializing"}})})
    again = await lab.until(PODS, pod, lambda o: o["metadata"]["uid"] != first["metadata"]["uid"], seconds=30)
    assert not set(mounted(again)) & set(mounted(first))
    for secret in mounted(again):
        await lab.kept(SECRETS, secret)
    assert condition(await lab.get(INSTANCES, "mine"), "Ended") is None
    assert operator.poll() is None


async def test_the_garbage_collector_s_word_does_not_free_it_and_the_kubelet_s_after_it_does(
    lab: Lab, operator: Process
) -> None:
    _, pod = await bound_to_a_node(lab)
    await lab.client.patch(INSTANCES, lab.namespace, "mine", {"spec": {"terminate": True}})
    await lab.until(PODS, pod, lambda o: o["metadata"].get("deletionTimestamp"))
    collected = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}
    await lab.status_patch(PODS, pod, {"phase": "Failed", "conditions": [collected]})
    await lab.client.delete(PODS, lab.namespace, pod, grace_seconds=0)
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Quarantined", "status") == "True")
    kept = await lab.kept(PODS, pod)
    assert "berth.dev/fence" in kept["metadata"]["finalizers"]
    assert await lab.lease("one") is not None
    # The node, which was deleted, is made again by its kubelet. The condition stays.
    await lab.status_patch(PODS, pod, said(kept, OVER))
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free")
    assert operator.poll() is None


async def test_nor_does_it_under_the_out_of_service_taint_when_it_gives_no_reason(
    lab: Lab, apiserver: ApiServer, operator: Process, operators: Operators
) -> None:
    """A container that was said to wait may have started since."""
    _, pod = await bound_to_a_node(lab)
    made = await lab.kept(PODS, pod)

    await lab.status_patch(PODS, pod, said(made, {"waiting": {"reason": "ContainerCreating"}}))
    await lab.client.patch(INSTANCES, lab.namespace, "mine", {"spec": {"terminate": True}})
    await lab.until(PODS, pod, lambda o: o["metadata"].get("deletionTimestamp"))
    async with connected("kube-controller-manager", str(apiserver.kubeconfig)) as controllers:
        failed = {"status": {"phase": "Failed"}}
        await controllers.patch(PODS, lab.namespace, pod, failed, subresource="status")
    await lab.client.delete(PODS, lab.namespace, pod, grace_seconds=0)
    await decided_anew(lab, operators)
    assert names.FENCE_FINALIZER in (await lab.kept(PODS, pod))["metadata"]["finalizers"]
    assert condition(await lab.kept(DEPLOYMENTS, "one"), "Quarantined", "status") == "True"
    assert await lab.lease("one") is not None
    # The node is back, and its kubelet knows.
    await lab.status_patch(PODS, pod, said(made, OVER))
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free")
    assert operator.poll() is None
