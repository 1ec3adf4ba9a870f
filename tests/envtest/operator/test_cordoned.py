"""A warm pod leaves a cordoned node, so that no drain waits for it; one that somebody has taken stays."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from berth_core import ids, names
from berth_core.kube.model import parse_time, timestamp
from berth_core.kube.types import Object
from berth_dev.envtest.puppets import NODES
from berth_operator.instances.warm.decide import AFTER_CORDON
from berth_operator.pods.cordon import TAINT

from .killing import is_bound
from .lab import INSTANCES, PODS, Lab

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("operator")]


@pytest.fixture
async def node(lab: Lab) -> AsyncIterator[str]:
    """A node that is Ready, whose kubelet does nothing."""
    name = f"node-{lab.namespace}"
    await lab.client.create(NODES, None, {"metadata": {"name": name}})
    status = {"conditions": [{"type": "Ready", "status": "True"}]}
    await lab.client.patch(NODES, None, name, {"status": status}, subresource="status")
    yield name
    await lab.client.delete(NODES, None, name)


def name_of(lab: Lab, deployment: str) -> str:
    return names.warm_object(ids.deployment_id(lab.namespace, deployment), 1)


async def warm_pod(lab: Lab, deployment: str) -> Object:
    return await lab.until(PODS, name_of(lab, deployment), bool, seconds=20)


async def warm_pod_on(lab: Lab, node: str, deployment: str, type_name: str = "bench") -> str:
    """Make a deployment, and bind its warm pod to a node; returns the pod's uid."""
    await lab.deployment(deployment, type_name)
    uid, name = str((await warm_pod(lab, deployment))["metadata"]["uid"]), name_of(lab, deployment)
    target = {"apiVersion": "v1", "kind": "Node", "name": node}
    body: Object = {"metadata": {"name": name}, "target": target}
    await lab.client.request("POST", PODS.path(lab.namespace, name, "binding"), body=body)
    return uid


async def cordon(lab: Lab, node: str, since: datetime) -> None:
    """Cordon a node, and say since when as the node controller does."""
    spec = {"unschedulable": True, "taints": [TAINT | {"timeAdded": timestamp(since)}]}
    await lab.client.patch(NODES, None, node, {"spec": spec})


async def taken(lab: Lab, deployment: str) -> Object:
    """Take a deployment; returns the status of its Instance."""
    await lab.instance(f"of-{deployment}", deployments=[deployment], requesterAddress="198.51.100.7")
    instance = await lab.until(INSTANCES, f"of-{deployment}", lambda o: is_bound("", o), seconds=20)
    status: Object = instance["status"]
    return status


@pytest.mark.release(
    twin="tests/envtest/operator/test_cordoned.py::test_a_pod_that_a_lease_has_and_one_that_tolerates_it_stay"
)
async def test_a_pod_that_nobody_has_leaves_and_the_next_waits_for_a_node(lab: Lab, node: str) -> None:
    await lab.type(warm=True)
    first = await warm_pod_on(lab, node, "one")
    since = datetime.now(UTC) - AFTER_CORDON + timedelta(seconds=8)
    await cordon(lab, node, since)
    await lab.until(PODS, name_of(lab, "one"), lambda pod: pod["metadata"].get("deletionTimestamp"))
    await lab.status_patch(PODS, name_of(lab, "one"), {"phase": "Failed"})  # as the kubelet does
    second = await lab.until(PODS, name_of(lab, "one"), lambda pod: pod["metadata"]["uid"] != first, seconds=40)
    assert "nodeName" not in second["spec"]
    assert parse_time(second["metadata"]["creationTimestamp"]) >= (since + AFTER_CORDON).replace(microsecond=0)
    await lab.client.patch(NODES, None, node, {"spec": {"unschedulable": False}})
    await cordon(lab, node, since)
    assert (await taken(lab, "one"))["warm"] is True
    assert (await warm_pod(lab, "one"))["metadata"]["uid"] == second["metadata"]["uid"], "it was made once"


async def test_a_pod_that_a_lease_has_and_one_that_tolerates_it_stay(lab: Lab, node: str) -> None:
    await lab.type(warm=True)
    template = {"image": "workspace.invalid/none:1", "tolerations": [{"operator": "Exists"}]}
    await lab.type("bound", warm=True, template=template)
    stay = {name: await warm_pod_on(lab, node, name, kind) for name, kind in (("held", "bench"), ("pinned", "bound"))}
    assert (await taken(lab, "held"))["warm"] is True
    await warm_pod_on(lab, node, "idle")
    await cordon(lab, node, datetime.now(UTC) - AFTER_CORDON)
    await lab.until(PODS, name_of(lab, "idle"), lambda pod: pod["metadata"].get("deletionTimestamp"))
    # By the time that the next pod is made, all passes that the cordon has woken are over.
    await lab.status_patch(PODS, name_of(lab, "idle"), {"phase": "Failed"})
    await lab.until(PODS, name_of(lab, "idle"), lambda pod: "nodeName" not in pod["spec"], seconds=40)
    for deployment, uid in stay.items():
        pod = await lab.kept(PODS, name_of(lab, deployment))
        assert (pod["metadata"]["uid"], pod["metadata"].get("deletionTimestamp")) == (uid, None)
