"""A deployment that is deleted and made again under its name: nobody gets what another's pod may still use."""

import signal
from datetime import UTC, datetime

import pytest

from berth_core.kube.types import Kind, Object
from berth_core.leases import leasing
from berth_core.leases.leasing import BusyError
from berth_core.names import FENCE_FINALIZER

from .lab import DEPLOYMENTS, INSTANCES, PODS, SECRETS, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver

NODES = Kind("v1", "nodes", namespaced=False)


async def holds(lab: Lab, deployment: str) -> str:
    """Let an instance have a deployment, with a pod of which no kubelet says that it ended; the instance's id."""
    node = f"node-{lab.namespace}"
    await lab.client.apply(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    name = await lab.claimed(deployment)
    pod = f"i-{name}"
    await lab.until(PODS, pod, bool)
    target: Object = {"apiVersion": "v1", "kind": "Node", "name": node}
    binding: Object = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
    await lab.client.request("POST", PODS.path(lab.namespace, pod, "binding"), body=binding)
    return name


async def attest(lab: Lab, pod: str) -> None:
    """Declare a pod's containers gone, as `berth release --force` does."""
    body = {"metadata": {"annotations": {"berth.dev/released-by-force": "the machine is off"}}}
    await lab.client.patch(PODS, lab.namespace, pod, body)


async def strip(lab: Lab, deployment: str) -> None:
    """Take the finalizer away, as who has broken the glass can."""
    await lab.client.patch(DEPLOYMENTS, lab.namespace, deployment, {"metadata": {"finalizers": None}})


@pytest.mark.usefixtures("operator")
async def test_a_free_deployment_has_its_finalizer_and_goes_when_it_is_deleted(lab: Lab) -> None:
    await lab.type()
    await lab.deployment("one")
    assert (await lab.get(DEPLOYMENTS, "one"))["metadata"]["finalizers"] == [FENCE_FINALIZER]
    await lab.client.delete(DEPLOYMENTS, lab.namespace, "one")
    await lab.until_gone(DEPLOYMENTS, "one")


@pytest.mark.usefixtures("operator")
async def test_a_leased_deployment_that_is_deleted_waits_for_its_holder(lab: Lab) -> None:
    await lab.type()
    await lab.deployment("one")
    holder = await holds(lab, "one")
    await lab.client.delete(DEPLOYMENTS, lab.namespace, "one")
    told = await lab.until(
        DEPLOYMENTS, "one", lambda o: "`berth release one` ends it" in (condition(o, "Available", "message") or "")
    )
    assert told["status"]["lease"]["instance"] == holder
    assert "reason" not in (await lab.get(INSTANCES, holder))["status"], "its holder keeps it"
    await lab.client.patch(INSTANCES, lab.namespace, holder, {"spec": {"terminate": True}})
    await attest(lab, f"i-{holder}")
    await lab.until(INSTANCES, holder, lambda o: condition(o, "Ended", "status") == "True", seconds=40)
    await lab.until_gone(DEPLOYMENTS, "one")


@pytest.mark.usefixtures("operator")
async def test_one_made_again_by_force_is_nobodys_until_the_old_pod_is_gone_and_its_epochs_are_new(lab: Lab) -> None:
    await lab.type()
    await lab.deployment("one")
    holder = await holds(lab, "one")
    await lab.client.delete(DEPLOYMENTS, lab.namespace, "one")
    await strip(lab, "one")
    await lab.create(DEPLOYMENTS, "one", {"type": "bench"})
    waits = await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Begun") == "Remains")
    assert condition(waits, "Available") == "New"
    assert f"i-{holder}" in (condition(waits, "Available", "message") or "")
    now = datetime.now(UTC)
    with pytest.raises(BusyError):
        await leasing.take(lab.client, lab.namespace, "one", instance="next", user="bob", now=now)
    await attest(lab, f"i-{holder}")
    free = await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free", seconds=60)
    assert condition(free, "Begun") == "NothingLeft"
    assert free["status"]["epoch"] == 1
    left, _ = await lab.client.list(PODS, lab.namespace, labels={"berth.dev/deployment": "one"})
    assert left == []
    lease = await leasing.take(lab.client, lab.namespace, "one", instance="next", user="bob", now=now)
    assert lease.epoch == 2


async def test_epochs_of_instances_that_have_ended_are_not_used_again(lab: Lab, operators: Operators) -> None:
    process = operators.start()
    await lab.type()
    await lab.deployment("one")
    for _ in range(2):
        name = await lab.claimed("one")
        await lab.client.patch(INSTANCES, lab.namespace, name, {"spec": {"terminate": True}})
        await lab.until(INSTANCES, name, lambda o: condition(o, "Ended", "status") == "True", seconds=40)
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free")
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    await lab.client.delete(DEPLOYMENTS, lab.namespace, "one")
    await strip(lab, "one")
    # A manifest that was exported has the finalizer, and says nothing of what was there.
    await lab.create(DEPLOYMENTS, "one", {"type": "bench"}, finalizers=[FENCE_FINALIZER])
    with pytest.raises(BusyError):
        await leasing.take(lab.client, lab.namespace, "one", instance="x", user="bob", now=datetime.now(UTC))
    operators.start()
    free = await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free", seconds=60)
    assert free["status"]["epoch"] == 2


@pytest.mark.release(twin="tests/envtest/chart/test_existing.py")
async def test_what_an_older_version_looked_at_keeps_its_lease_its_warm_pod_and_its_epoch(
    lab: Lab, operators: Operators
) -> None:
    process = operators.start()
    await lab.type(warm=True)
    for name in ("leased", "fresh"):
        await lab.deployment(name)
        await lab.until(PODS, await warm_pod(lab, name, 1), bool)
    holder = await lab.claimed("leased")
    await lab.until(INSTANCES, holder, lambda o: condition(o, "Bound", "status") == "True")
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    for name in ("leased", "fresh"):
        await strip(lab, name)
    before = {name: await uid(lab, name) for name in ("leased", "fresh")}
    operators.start()
    for name in ("leased", "fresh"):
        await lab.until(DEPLOYMENTS, name, lambda o: o["metadata"].get("finalizers") == [FENCE_FINALIZER], seconds=60)
    await lab.until(DEPLOYMENTS, "fresh", lambda o: condition(o, "Available") == "Free")
    # A pass over each pod has been made once what follows is done.
    await lab.deployment("later")
    await lab.until(PODS, await warm_pod(lab, "later", 1), bool)
    assert {name: await uid(lab, name) for name in ("leased", "fresh")} == before, "the pods are the same"
    assert ((await lab.lease("leased")) or {})["instance"] == holder
    assert (await lab.get(DEPLOYMENTS, "fresh"))["status"]["epoch"] == 0
    assert (await lab.client.list(SECRETS, lab.namespace, labels={"berth.dev/warm": "true"}))[0]


async def warm_pod(lab: Lab, deployment: str, epoch: int) -> str:
    """Name of the pod that is kept warm."""
    return f"w-{(await lab.get(DEPLOYMENTS, deployment))['status']['id']}-e{epoch}"


async def uid(lab: Lab, deployment: str) -> str:
    """Uid of the pod that was made warm for the first epoch."""
    return str((await lab.kept(PODS, await warm_pod(lab, deployment, 1)))["metadata"]["uid"])
