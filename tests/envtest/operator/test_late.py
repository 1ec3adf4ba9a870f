"""Late writes of a former leader, after an instance's end, are cleaned up."""

import asyncio
import signal
import uuid

import pytest
from amount import but_first

from berth_core import ids, names
from berth_core.kube.types import Kind, Object

from .builds import CI, build, ended, is_over, pod_of, project, says, started
from .lab import DEPLOYMENTS, INSTANCES, PODS, POLICIES, RULES, SECRETS, SERVICES, Lab, condition, mounted
from .process import Operators

pytestmark = pytest.mark.apiserver

BUDGETS = Kind("policy/v1", "poddisruptionbudgets")


async def test_what_is_made_for_an_ended_instance_is_cleared_by_the_next_leader(lab: Lab, operators: Operators) -> None:
    first = operators.start()
    await lab.type()
    await lab.deployment("one")
    await lab.instance("mine", workspaceType="bench", requesterAddress="198.51.100.7")
    bound = await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound", "status") == "True")
    public_id = bound["metadata"]["uid"]
    await lab.client.patch(INSTANCES, lab.namespace, "mine", {"spec": {"terminate": True}})
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Ended", "status") == "True")
    first.send_signal(signal.SIGTERM)
    await asyncio.to_thread(first.wait, 60)
    labels = {"app.kubernetes.io/managed-by": "berth", "berth.dev/instance": public_id, "berth.dev/epoch": "1"}
    metadata: Object = {"name": f"i-{public_id}", "labels": labels}
    selector = {"matchLabels": labels}
    specs: dict[Kind, Object] = {
        SECRETS: {"stringData": {"ssh_host_ed25519_key": "x"}},
        SERVICES: {"spec": {"ports": [{"port": 22}]}},
        POLICIES: {"spec": {"podSelector": selector}},
    }
    for kind, fields in specs.items():
        await lab.client.create(kind, lab.namespace, {"metadata": metadata} | fields)
    await lab.create(RULES, "mine-0", {"instance": public_id, "order": 0, "source": "0.0.0.0/0", "action": "ACCEPT"})
    operators.start()
    for kind in specs:
        await lab.until_gone(kind, f"i-{public_id}", seconds=30)
    await lab.until_gone(RULES, "mine-0")


async def test_disruption_budgets_of_an_earlier_version_go_once_that_of_the_namespace_is_there(
    lab: Lab, operators: Operators
) -> None:
    ours: Object = {"name": "i-earlier", "labels": {names.MANAGED_BY_LABEL: names.MANAGED_BY}}
    of_the_chart: Object = {"name": names.LEASES_BUDGET, "labels": {names.MANAGED_BY_LABEL: "Helm"}}
    for metadata in (ours, {"name": "another"}):
        await lab.client.create(BUDGETS, lab.namespace, {"metadata": metadata, "spec": {"minAvailable": 1}})
    labels = {names.INSTANCE_LABEL: str(uuid.uuid4()), names.MANAGED_BY_LABEL: names.MANAGED_BY}
    await lab.client.create(SECRETS, lab.namespace, {"metadata": {"name": "left", "labels": labels}})
    operators.start()
    await lab.until_gone(SECRETS, "left", seconds=30)
    assert await lab.kept(BUDGETS, "i-earlier"), "nothing else keeps a drain from its lease"
    await lab.client.create(BUDGETS, lab.namespace, {"metadata": of_the_chart, "spec": {"minAvailable": 1}})
    operators.stop_all()
    operators.start()
    await lab.until_gone(BUDGETS, "i-earlier", seconds=40)
    for name in (names.LEASES_BUDGET, "another"):
        assert await lab.kept(BUDGETS, name)


async def test_what_is_made_for_an_epoch_of_a_warm_pod_that_is_over_is_cleared(lab: Lab, operators: Operators) -> None:
    first = operators.start()
    await lab.type(warm=True)
    await lab.deployment("one")
    warm, coming = (names.warm_object(ids.deployment_id(lab.namespace, "one"), epoch) for epoch in (1, 2))
    await lab.until(PODS, warm, bool, seconds=20)
    await lab.instance("mine", workspaceType="bench", requesterAddress="198.51.100.7")
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound", "status") == "True")
    await lab.client.patch(INSTANCES, lab.namespace, "mine", {"spec": {"terminate": True}})
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Ended", "status") == "True")
    next_secrets = mounted(await lab.until(PODS, coming, bool, seconds=20))
    first.send_signal(signal.SIGTERM)
    await asyncio.to_thread(first.wait, 60)
    labels = {**names.epoch_labels(1, "one"), names.WARM_LABEL: "true"}
    metadata: Object = {"name": warm, "labels": labels}
    await lab.client.create(SECRETS, lab.namespace, {"metadata": metadata, "stringData": {"ssh_host_ed25519_key": "x"}})
    selector: Object = {"podSelector": {"matchLabels": labels}}
    await lab.client.create(POLICIES, lab.namespace, {"metadata": metadata, "spec": selector})
    operators.start()
    for kind in (SECRETS, POLICIES):
        await lab.until_gone(kind, warm, seconds=20)
    for kind, name in ((POLICIES, names.type_policy("bench")), *((SECRETS, name) for name in next_secrets)):
        assert await lab.kept(kind, name), "objects of the next lease stay"


@pytest.mark.parametrize(
    "wrong", but_first({names.EPOCH_LABEL: "abc"}, {names.EPOCH_LABEL: None}, {names.DEPLOYMENT_LABEL: None})
)
async def test_an_object_with_labels_that_berth_does_not_write_stays_and_stops_nothing(
    lab: Lab, operators: Operators, wrong: dict[str, str | None]
) -> None:
    """Anybody who may make objects in the namespace can plant one."""
    await lab.type(warm=True)
    await lab.create(DEPLOYMENTS, "one", {"type": "bench"})
    sound = {**names.epoch_labels(1, "one"), names.WARM_LABEL: "true"} | wrong
    # Its name is first in each list.
    planted: Object = {"name": "a-planted", "labels": {key: value for key, value in sound.items() if value}}
    kinds: dict[Kind, Object] = {
        SECRETS: {"stringData": {"ssh_host_ed25519_key": "x"}},
        SERVICES: {"spec": {"ports": [{"port": 22}]}},
        PODS: {"spec": {"containers": [{"name": "workspace", "image": "none.invalid/none:1"}]}},
    }
    for kind, fields in kinds.items():
        await lab.client.create(kind, lab.namespace, {"metadata": planted} | fields)
    labels = {names.MANAGED_BY_LABEL: names.MANAGED_BY, names.INSTANCE_LABEL: str(uuid.uuid4())}
    left: Object = {"metadata": {"name": "left", "labels": labels}, "stringData": {"ssh_host_ed25519_key": "x"}}
    await lab.client.create(SECRETS, lab.namespace, left)
    operators.start()
    await lab.until(PODS, names.warm_object(ids.deployment_id(lab.namespace, "one"), 1), bool, seconds=40)
    await lab.until_gone(SECRETS, "left", seconds=40)
    assert await lab.kept(SECRETS, "a-planted")


async def test_what_is_made_for_a_build_that_is_over_is_cleared(lab: Lab, operators: Operators) -> None:
    first = operators.start(**CI)
    await project(lab)
    over = await build(lab, "over")
    pod = await pod_of(lab, await started(lab, over, "fetch"))
    await says(lab, pod, "Failed", fetch=ended(1, '{"error": "RecipeMissing", "message": "none"}'))
    await is_over(lab, "over")
    runs = await build(lab, "runs")
    await started(lab, runs, "fetch")
    first.send_signal(signal.SIGTERM)
    await asyncio.to_thread(first.wait, 60)
    for public_id in (over, runs):
        metadata: Object = {"name": f"b-{public_id}-1", "labels": names.build_labels(public_id, 1)}
        await lab.client.create(SECRETS, lab.namespace, {"metadata": metadata, "stringData": {"key": "x"}})
    selector: Object = {"podSelector": {"matchLabels": {names.BUILD_LABEL: over}}}
    metadata = {"name": f"b-{over}-1", "labels": names.build_labels(over, 1)}
    await lab.client.create(POLICIES, lab.namespace, {"metadata": metadata, "spec": selector})
    operators.start(**CI)
    for kind in (SECRETS, POLICIES):
        await lab.until_gone(kind, f"b-{over}-1", seconds=20)
    for kind in (SECRETS, POLICIES):
        assert await lab.kept(kind, f"b-{runs}-1"), "objects of another build stay"


async def test_what_shuts_a_pod_in_stays_though_its_build_is_over(lab: Lab, operators: Operators) -> None:
    """A node that is silent may still run it."""
    first = operators.start(**CI)
    await project(lab)
    made = {}
    for name in ("over", "silent"):
        made[name] = await build(lab, name)
        pod = await pod_of(lab, await started(lab, made[name], "fetch"))
        await says(lab, pod, "Failed", fetch=ended(1, '{"error": "RecipeMissing", "message": "none"}'))
        await is_over(lab, name)
    first.send_signal(signal.SIGTERM)
    await asyncio.to_thread(first.wait, 60)
    # Policies are looked at in the order of their names: once the second is gone, the first was seen.
    for name, policy in (("silent", "b-0-first"), ("over", "b-1-second")):
        labels = names.build_labels(made[name], 1)
        selector: Object = {"podSelector": {"matchLabels": {names.BUILD_LABEL: made[name]}}}
        await lab.client.create(
            POLICIES, lab.namespace, {"metadata": {"name": policy, "labels": labels}, "spec": selector}
        )
    metadata: Object = {
        "name": "stays",
        "labels": names.build_labels(made["silent"], 1),
        "finalizers": ["test.berth.dev/stays"],
    }
    containers = [{"name": "script", "image": "script.invalid/it:1"}]
    await lab.client.create(PODS, lab.namespace, {"metadata": metadata, "spec": {"containers": containers}})
    operators.start(**CI)
    await lab.until_gone(POLICIES, "b-1-second", seconds=20)
    assert await lab.kept(POLICIES, "b-0-first")
    await lab.client.patch(PODS, lab.namespace, "stays", {"metadata": {"finalizers": None}})


async def test_secrets_of_a_live_lease_that_no_status_names_are_cleared(lab: Lab, operators: Operators) -> None:
    """A former leader made them, and lost its compare-and-swap."""
    first = operators.start()
    await lab.type(warm=True)
    await lab.deployment("one")
    await lab.deployment("two")
    warm = names.warm_object(ids.deployment_id(lab.namespace, "two"), 1)
    kept = mounted(await lab.until(PODS, warm, bool, seconds=20))
    await lab.instance("mine", deployments=["one"], repo={"url": "https://git.example.org/lab/arm.git"})
    bound = await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound", "status") == "True", seconds=20)
    public_id = bound["metadata"]["uid"]
    kept += mounted(await lab.until(PODS, f"i-{public_id}", bool, seconds=20))
    first.send_signal(signal.SIGTERM)
    await asyncio.to_thread(first.wait, 60)
    lost = {
        f"i-{public_id}-e1-0123abcd": names.lease_labels(public_id, 1, "one"),
        f"i-{public_id}-e1-0123abcd-agent": names.lease_labels(public_id, 1, "one"),
        f"{warm}-0123abcd": {**names.epoch_labels(1, "two"), names.WARM_LABEL: "true"},
    }
    for name, labels in lost.items():
        await lab.client.create(SECRETS, lab.namespace, {"metadata": {"name": name, "labels": labels}})
    operators.start()
    for name in lost:
        await lab.until_gone(SECRETS, name, seconds=20)
    for name in kept:
        assert await lab.kept(SECRETS, name)
