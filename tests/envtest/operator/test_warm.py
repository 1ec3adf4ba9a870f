"""Pods that are kept warm: made before anybody has the deployment, used by one lease, gone with it (ADR 0013)."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from forked import Process

from berth_core import ids, names
from berth_core.kube.errors import InvalidError
from berth_core.kube.types import Kind, Object
from berth_dev.envtest.apiserver import ApiServer

from .broken_off import deletion_of, put_back
from .killing import Happens, is_bound, kill, kill_when, made, nothing_left, succeed
from .lab import DEPLOYMENTS, INSTANCES, PODS, POLICIES, SECRETS, SERVICES, TYPES, Lab, condition, mounted
from .process import Operators

pytestmark = pytest.mark.apiserver

NODES = Kind("v1", "nodes", namespaced=False)
ALL = (PODS, SERVICES, SECRETS, POLICIES)


def name_of(lab: Lab, epoch: int, deployment: str = "one") -> str:
    return names.warm_object(ids.deployment_id(lab.namespace, deployment), epoch)


async def secret_of(lab: Lab, epoch: int) -> str:
    """Name of the workspace's Secret of what is kept warm for an epoch, by the status of `one`."""
    warm = (await lab.get(DEPLOYMENTS, "one"))["status"]["warm"]
    assert warm["epoch"] == epoch
    return f"{name_of(lab, epoch)}-{warm['nonce']}"


async def kept(lab: Lab, epoch: int) -> Object:
    """The pod that is kept warm for an epoch of `one`."""
    return await lab.until(PODS, name_of(lab, epoch), bool, seconds=20)


async def gone(lab: Lab, epoch: int, deployment: str = "one") -> None:
    """Wait until nothing is left of what was made for an epoch; its Service goes last."""
    await lab.until_gone(SERVICES, name_of(lab, epoch, deployment), seconds=20)
    for kind in ALL:
        left, _ = await lab.client.list(kind, lab.namespace, labels=names.epoch_labels(epoch, deployment))
        assert left == [], f"{kind.plural} are left"


async def bound(lab: Lab, name: str, **spec: object) -> Object:
    await lab.instance(name, workspaceType="bench", requesterAddress="198.51.100.7", **spec)
    return await lab.until(INSTANCES, name, lambda o: is_bound("", o), seconds=20)


async def ends(lab: Lab, name: str) -> None:
    await lab.client.patch(INSTANCES, lab.namespace, name, {"spec": {"terminate": True}})
    await lab.until(INSTANCES, name, lambda o: condition(o, "Ended", "status") == "True", seconds=20)


async def test_a_warm_pod_is_shut_used_by_one_lease_and_gone_with_it(lab: Lab, operator: Process) -> None:
    await lab.type(warm=True)
    await lab.deployment("one")
    pod, name = await kept(lab, 1), name_of(lab, 1)
    labels = {**names.epoch_labels(1, "one"), "berth.dev/warm": "true"}
    assert pod["metadata"]["labels"] == labels | names.type_labels("bench")
    assert pod["metadata"]["finalizers"] == ["berth.dev/fence"]
    assert pod["metadata"]["ownerReferences"][0]["kind"] == "WorkspaceDeployment"
    workspace = await secret_of(lab, 1)
    assert sorted(mounted(pod)) == [workspace, f"{workspace}-agent"]
    secret = await lab.kept(SECRETS, f"{workspace}-agent")
    initial = json.loads(base64.b64decode(secret["data"]["initial.json"]))
    assert (initial["epoch"], initial["generation"], initial["authorizedKeys"]) == (1, 0, [])
    assert await lab.absent(POLICIES, name), "that of its type holds it"
    policy = await lab.get(POLICIES, names.type_policy("bench"))
    assert policy["spec"]["podSelector"]["matchLabels"] == names.type_labels("bench")
    service = await lab.get(SERVICES, name)
    assert service["spec"]["selector"] == labels

    instance = await bound(lab, "mine")
    uid = instance["metadata"]["uid"]
    assert instance["status"]["warm"] is True
    assert (await kept(lab, 1))["metadata"] == pod["metadata"], "the lease is the claim: the pod is not written"
    key = base64.b64decode((await lab.kept(SECRETS, workspace))["data"]["ssh_host_ed25519_key.pub"]).decode().strip()
    assert instance["status"]["hostKeys"] == [key]
    assert await lab.absent(PODS, f"i-{uid}")
    assert await lab.absent(SERVICES, f"i-{uid}")

    # Lost under the lease, it comes again: same name, same key, same port.
    await lab.client.delete(PODS, lab.namespace, name)
    again = await lab.until(PODS, name, lambda o: o["metadata"]["uid"] != pod["metadata"]["uid"], seconds=20)
    for field in ("labels", "finalizers", "ownerReferences"):
        assert again["metadata"][field] == pod["metadata"][field]
    assert (await lab.get(SERVICES, name))["spec"]["ports"] == service["spec"]["ports"]
    assert (await lab.get(INSTANCES, "mine"))["status"]["hostKeys"] == [key]

    await ends(lab, "mine")
    await nothing_left(lab, uid)
    await gone(lab, 1)
    await kept(lab, 2)
    other = await lab.kept(SECRETS, await secret_of(lab, 2))
    assert other["data"]["ssh_host_ed25519_key.pub"] != (base64.b64encode(f"{key}\n".encode()).decode())
    assert operator.poll() is None


@pytest.mark.usefixtures("operator")
async def test_a_pod_whose_deletion_was_broken_off_is_deleted(lab: Lab, apiserver: ApiServer) -> None:
    await lab.type(warm=True)
    await lab.deployment("one")
    since = (await kept(lab, 1))["metadata"]["resourceVersion"]
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"lockout": True}})
    deleted_at = await deletion_of(lab, name_of(lab, 1), since)
    await gone(lab, 1)
    came_back_at = await put_back(lab, apiserver, name_of(lab, 1), deleted_at)
    await deletion_of(lab, name_of(lab, 1), came_back_at)


@pytest.mark.usefixtures("operator")
async def test_what_is_of_no_use_any_more_is_thrown_away(lab: Lab) -> None:
    await lab.type(warm=True)
    await lab.deployment("one")
    first = await kept(lab, 1)
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"lockout": True}})
    await gone(lab, 1)
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"lockout": False}})
    second = await kept(lab, 1)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]

    changed = {"spec": {"template": {"image": "workspace.invalid/other:2"}}}
    await lab.client.patch(TYPES, lab.namespace, "bench", changed)
    third = await lab.until(
        PODS, name_of(lab, 1), lambda o: o["spec"]["containers"][0]["image"].endswith("other:2"), seconds=20
    )
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"description": "a word about it"}})
    await lab.client.patch(TYPES, lab.namespace, "bench", {"spec": {"limits": {"startTimeout": 77}}})
    await bound(lab, "mine")
    assert (await kept(lab, 1))["metadata"]["uid"] == third["metadata"]["uid"], "no other part of the type matters"
    await ends(lab, "mine")

    await kept(lab, 2)
    await lab.client.patch(TYPES, lab.namespace, "bench", {"spec": {"warm": False}})
    await gone(lab, 2)
    await lab.client.patch(TYPES, lab.namespace, "bench", {"spec": {"warm": True}})
    await kept(lab, 2)
    await lab.client.delete(DEPLOYMENTS, lab.namespace, "one")
    await gone(lab, 2)


@pytest.mark.usefixtures("operator")
async def test_where_no_warm_pod_serves_the_lease_has_one_of_its_own(lab: Lab) -> None:
    await lab.type(warm=True)
    await lab.deployment("one")
    await kept(lab, 1)
    instance = await bound(lab, "with-vpn", vpn=True)
    assert "warm" not in instance["status"]
    await lab.until(PODS, f"i-{instance['metadata']['uid']}", bool)
    await lab.until_gone(PODS, name_of(lab, 1), seconds=20)
    await ends(lab, "with-vpn")
    await gone(lab, 1)

    await kept(lab, 2)
    since = (datetime.now(UTC) - timedelta(seconds=30)).isoformat(timespec="seconds").replace("+00:00", "Z")
    refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastTransitionTime": since}
    await lab.status_patch(PODS, name_of(lab, 2), {"conditions": [refused]})
    instance = await bound(lab, "unlucky")
    assert "warm" not in instance["status"]
    await lab.until(PODS, f"i-{instance['metadata']['uid']}", bool)
    await lab.until_gone(PODS, name_of(lab, 2), seconds=20)
    await ends(lab, "unlucky")
    await gone(lab, 2)


CLAIM: list[tuple[str, Kind, Happens]] = [
    ("the lease is taken", DEPLOYMENTS, lambda _, o: "lease" in o["status"]),
    ("the status says bound", INSTANCES, is_bound),
]
MAKING: list[tuple[str, Kind, Happens]] = [
    ("the Service is made", SERVICES, made),
    ("a Secret is made", SECRETS, made),
    ("the status names it", DEPLOYMENTS, lambda event, o: event == "MODIFIED" and "warm" in (o.get("status") or {})),
    ("the pod is made", PODS, made),
]


@pytest.mark.release(twin="tests/sim/test_histories.py")
async def test_a_claim_goes_on_after_a_kill_at_any_write(lab: Lab, operators: Operators) -> None:
    operators.start()
    await lab.type(warm=True)
    await lab.deployment("one")
    for number, (_, kind, happens) in enumerate(CLAIM):
        epoch, name = number + 1, f"claim-{number}"
        pod = await kept(lab, epoch)
        await kill_when(lab, operators, kind, happens, lab.instance(name, workspaceType="bench"))
        instance = await lab.until(INSTANCES, name, lambda o: is_bound("", o), seconds=20)
        assert (instance["status"]["warm"], instance["status"]["epoch"]) == (True, epoch)
        assert (await kept(lab, epoch))["metadata"]["uid"] == pod["metadata"]["uid"]
        pods, _ = await lab.client.list(PODS, lab.namespace)
        assert [p["metadata"]["name"] for p in pods] == [name_of(lab, epoch)]
        # The end too, killed where the Instance is not bound again once it has begun.
        await kill_when(lab, operators, INSTANCES, lambda _, o: "reason" in o["status"], ends_later(lab, name))
        await lab.until(INSTANCES, name, lambda o: condition(o, "Ended", "status") == "True", seconds=20)
        await gone(lab, epoch)


async def test_a_pod_is_not_written_between_its_creation_and_its_end(lab: Lab, operator: Process) -> None:
    await lab.type(warm=True)
    _, version = await lab.client.list(PODS, lab.namespace)
    await lab.deployment("one")
    await kept(lab, 1)
    await bound(lab, "mine")
    told = []
    await lab.client.patch(INSTANCES, lab.namespace, "mine", {"spec": {"terminate": True}})
    async with asyncio.timeout(60):
        async for event in lab.client.watch(PODS, lab.namespace, version, fields={"metadata.name": name_of(lab, 1)}):
            if event.type != "BOOKMARK":
                told.append((event.type, bool(event.object["metadata"].get("deletionTimestamp"))))
            if event.type == "DELETED":
                break
    assert [going for _, going in told[:2]] == [False, True], "made, and then deleted"
    assert {going for _, going in told[1:]} == {True}
    assert operator.poll() is None


@pytest.mark.usefixtures("operator")
async def test_what_the_status_names_does_not_change_under_a_lease(lab: Lab) -> None:
    await lab.type(warm=True)
    await lab.deployment("one")
    await kept(lab, 1)
    await bound(lab, "mine")
    for wrong in (None, {"epoch": 1, "nonce": "0a1b2c3d"}, {"epoch": 2, "nonce": "0a1b2c3d"}):
        with pytest.raises(InvalidError, match="neither written nor cleared under a lease"):
            await lab.status_patch(DEPLOYMENTS, "one", {"warm": wrong})


def is_unnamed(event: str, wd: Object) -> bool:
    return event == "MODIFIED" and wd["status"].get("epoch", 0) == 0 and "warm" not in wd["status"]


async def lock(lab: Lab, *, locked: bool) -> None:
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"lockout": locked}})


async def without_a_name(lab: Lab, operators: Operators) -> Object:
    """A warm pod whose removal ended when the status named it no more: its leader was killed then."""
    operators.start()
    await lab.type(warm=True)
    await lab.deployment("one")
    pod, first = await kept(lab, 1), name_of(lab, 1)
    # It cannot go before the test says so, if the leader comes to delete it.
    stays = {"metadata": {"finalizers": ["berth.dev/fence", "berth.test/it-still-runs"]}}
    pod = await lab.client.patch(PODS, lab.namespace, first, stays)
    _, version = await lab.client.list(DEPLOYMENTS, lab.namespace)
    await lock(lab, locked=True)
    async with asyncio.timeout(60):
        async for event in lab.client.watch(DEPLOYMENTS, lab.namespace, version):
            if event.type != "BOOKMARK" and is_unnamed(event.type, event.object):
                break
    await kill(operators)
    return pod


@pytest.mark.release(twin="tests/unit/operator/instances/test_warm_removal.py")
async def test_a_removal_that_broke_off_when_the_status_names_no_pod_is_finished(
    lab: Lab, operators: Operators
) -> None:
    pod = await without_a_name(lab, operators)
    await lock(lab, locked=False)
    await succeed(lab, operators)
    name = name_of(lab, 1)
    await lab.until(PODS, name, lambda o: o["metadata"].get("deletionTimestamp"), seconds=20)
    await lab.client.patch(PODS, lab.namespace, name, {"metadata": {"finalizers": None}})
    again = await lab.until(PODS, name, lambda o: o["metadata"]["uid"] != pod["metadata"]["uid"], seconds=20)
    assert mounted(again) != mounted(pod), "Secrets under other names: the first ones are never made again"
    instance = await bound(lab, "mine")
    assert instance["status"]["warm"] is True


async def test_a_lease_that_is_taken_after_that_gets_a_pod_of_its_own(lab: Lab, operators: Operators) -> None:
    pod = await without_a_name(lab, operators)
    await lock(lab, locked=False)
    claimed = await lab.claimed("one")
    await succeed(lab, operators)
    instance = await lab.until(INSTANCES, claimed, lambda o: is_bound("", o), seconds=20)
    assert "warm" not in instance["status"]
    await lab.until(PODS, f"i-{claimed}", bool, seconds=20)
    name = name_of(lab, 1)
    await lab.until(PODS, name, lambda o: o["metadata"].get("deletionTimestamp"), seconds=20)
    await lab.client.patch(PODS, lab.namespace, name, {"metadata": {"finalizers": None}})
    await lab.until_gone(PODS, name, seconds=20)
    for secret in mounted(pod):
        await lab.until_gone(SECRETS, secret, seconds=20)


@pytest.mark.usefixtures("operator")
async def test_a_pod_that_nobody_had_goes_with_its_node(lab: Lab) -> None:
    """No kubelet says that it has ended; what somebody had waits for an administrator's word."""
    await lab.type(warm=True)
    for deployment in ("idle", "lent"):
        await lab.deployment(deployment)
        pod = name_of(lab, 1, deployment)
        await lab.until(PODS, pod, bool, seconds=20)
        if deployment == "lent":
            await lab.instance("mine", deployments=["lent"])
            instance = await lab.until(INSTANCES, "mine", lambda o: is_bound("", o), seconds=20)
            assert instance["status"]["warm"] is True
        await lab.bind(pod, f"gone-{lab.namespace}")
    idle, lent = name_of(lab, 1, "idle"), name_of(lab, 1, "lent")
    for pod in (idle, lent):
        await lab.client.delete(PODS, lab.namespace, pod, grace_seconds=0)  # as the pod collector does
    uid = (await lab.get(PODS, lent))["metadata"]["uid"]
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "idle", {"spec": {"lockout": True}})
    await gone(lab, 1, "idle")
    assert (await lab.get(PODS, lent))["metadata"]["uid"] == uid


@pytest.mark.release(twin="tests/unit/operator/instances/test_decide_warm.py")
@pytest.mark.usefixtures("operator")
async def test_a_pod_whose_lease_has_another_goes_with_its_node_too(lab: Lab) -> None:
    node, ready = f"node-{lab.namespace}", {"conditions": [{"type": "Ready", "status": "True"}]}
    await lab.client.create(NODES, None, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    await lab.client.patch(NODES, None, node, {"status": ready}, subresource="status")
    await lab.type(warm=True)
    await lab.deployment("one")
    pod = (await kept(lab, 1))["metadata"]["name"]
    await lab.bind(pod, node)
    assert "warm" not in (await bound(lab, "with-vpn", vpn=True))["status"]
    await lab.until(PODS, pod, lambda o: o["metadata"].get("deletionTimestamp"), seconds=20)
    await lab.client.delete(NODES, None, node)
    await lab.client.delete(PODS, lab.namespace, pod, grace_seconds=0)  # as the pod collector does
    await lab.until_gone(PODS, pod, seconds=20)
    assert await lab.lease("one") is not None
    await ends(lab, "with-vpn")


async def ends_later(lab: Lab, name: str) -> None:
    await lab.client.patch(INSTANCES, lab.namespace, name, {"spec": {"terminate": True}})


@pytest.mark.release(twin="tests/sim/test_histories.py")
async def test_making_goes_on_after_a_kill_at_any_write(lab: Lab, operators: Operators) -> None:
    operators.start()
    await lab.type()
    await lab.deployment("one")
    for _, kind, happens in MAKING:
        switched = lab.client.patch(TYPES, lab.namespace, "bench", {"spec": {"warm": True}})
        await kill_when(lab, operators, kind, happens, switched)
        await kept(lab, 1)
        await lab.client.patch(TYPES, lab.namespace, "bench", {"spec": {"warm": False}})
        await gone(lab, 1)


@pytest.mark.usefixtures("operator")
async def test_a_lease_is_not_given_back_while_a_pod_of_its_epoch_may_run(lab: Lab) -> None:
    await lab.type(warm=True)
    await lab.deployment("one")
    pod, node = (await kept(lab, 1))["metadata"]["name"], f"node-{lab.namespace}"
    # A node without a kubelet, so a silent one.
    await lab.client.create(NODES, None, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    await lab.bind(pod, node)
    await lab.until(PODS, pod, lambda o: o["metadata"].get("deletionTimestamp"))
    instance = await bound(lab, "mine")
    assert "warm" not in instance["status"]

    await lab.until(PODS, f"i-{instance['metadata']['uid']}", bool)
    await lab.client.patch(INSTANCES, lab.namespace, "mine", {"spec": {"terminate": True}})
    await lab.until_gone(PODS, f"i-{instance['metadata']['uid']}")
    told = await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Quarantined", "status") == "True")
    assert node in str(condition(told, "Quarantined", "message"))
    assert await lab.lease("one") is not None
    attest = {"metadata": {"annotations": {"berth.dev/released-by-force": "the machine is off"}}}
    await lab.client.patch(PODS, lab.namespace, pod, attest)
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Ended", "status") == "True")
    await gone(lab, 1)
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free")
    await kept(lab, 2)
