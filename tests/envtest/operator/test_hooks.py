"""Between users: what runs before a workspace is opened and after it has ended, and what a failure leads to."""

import asyncio
from datetime import UTC, datetime

import pytest

from berth_cli.admin.deployments.quarantine import release
from berth_core.kube.types import Kind
from berth_core.leases import leasing

from .hooks import (
    BOTH,
    JOBS,
    RESET,
    borrowed,
    end,
    exited,
    fail,
    has_ended,
    pod_of,
    reads,
    started,
    succeed,
)
from .lab import DEPLOYMENTS, INSTANCES, PODS, POLICIES, SECRETS, SERVICES, Lab, condition

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("operator")]

NODES = Kind("v1", "nodes", namespaced=False)


async def test_a_deployment_is_free_after_reset_and_health_check_one_after_the_other(lab: Lab) -> None:
    uid = await borrowed(lab, BOTH)
    await end(lab)
    reset = await started(lab, uid, "reset")
    assert await lab.absent(PODS, f"i-{uid}"), "the workspace is gone before"
    assert [name for name in await lab.secrets(uid) if not name.startswith(f"{reset}-")] == []
    assert await lab.absent(SERVICES, f"i-{uid}")
    cleaning = await reads(lab, "Cleaning")
    assert "reset" in str(condition(cleaning, "Available", "message"))
    assert await lab.lease("one") is not None
    assert await lab.absent(JOBS, f"i-{uid}-e1-health"), "one after the other"
    policy = await lab.get(POLICIES, f"i-{uid}")
    ports = [port["port"] for entry in policy["spec"]["ingress"] for port in entry["ports"] if "ipBlock" in str(entry)]
    assert ports == [], "no user comes in"
    await succeed(lab, reset)
    health = await started(lab, uid, "health")
    assert await lab.lease("one") is not None
    await succeed(lab, health)
    ended = await has_ended(lab)
    assert condition(ended, "Cleaned") == "Clean"
    free = await reads(lab, "Free")
    assert (condition(free, "Cleaning", "status"), condition(free, "Quarantined", "status")) == ("False", "False")
    for kind in (JOBS, SECRETS, PODS):
        assert (await lab.client.list(kind, lab.namespace, labels={"berth.dev/instance": uid}))[0] == []


async def test_a_failed_reset_says_nothing_of_a_machine_that_was_only_taken_beside(lab: Lab) -> None:
    await lab.type(hooks=RESET)
    for name in ("one", "two"):
        await lab.deployment(name)
    drawn = await lab.claimed("one")
    await lab.until(INSTANCES, drawn, lambda o: condition(o, "Bound", "status") == "True")
    await end(lab, drawn)
    job = await started(lab, drawn, "reset")
    await leasing.take(lab.client, lab.namespace, "two", instance=drawn, user="ada", now=datetime.now(UTC))
    await exited(lab, await pod_of(lab, job), 3)
    await fail(lab, job)
    await has_ended(lab, drawn)
    await reads(lab, "Quarantined")
    beside = await reads(lab, "Free", "two")
    assert condition(beside, "Quarantined") == "Sound"
    assert not beside["status"].get("instances")


async def test_a_failed_reset_puts_it_in_quarantine_until_an_administrator_releases_it(lab: Lab) -> None:
    uid = await borrowed(lab, BOTH)
    await end(lab)
    job = await started(lab, uid, "reset")
    pod = await pod_of(lab, job)
    await exited(lab, pod, 3)
    await fail(lab, job)
    await has_ended(lab)
    shut = await reads(lab, "Quarantined")
    assert condition(shut, "Quarantined") == "ResetFailed"
    told = str(condition(shut, "Quarantined", "message"))
    assert f"after instance {uid} (epoch 1) the hook reset failed: exit code 3. " in told
    assert "berth deployment release one" in told
    assert "hunter2" not in str(shut)
    assert await lab.lease("one") is None, "its lease is given back"
    assert await lab.absent(JOBS, f"i-{uid}-e1-health"), "nothing runs after a failure"
    with pytest.raises(leasing.BusyError) as busy:
        await leasing.take(lab.client, lab.namespace, "one", instance="x", user="eve", now=datetime.now(UTC))
    assert busy.value.reason == "Quarantined"
    await lab.instance("next", workspaceType="bench")
    await lab.until(INSTANCES, "next", lambda o: condition(o, "Bound") == "Waiting")
    (line,) = await release(lab.client, "one", lab.namespace, "calibrated by hand")
    assert "exit code 3" in line
    following = await lab.until(INSTANCES, "next", lambda o: condition(o, "Bound", "status") == "True")
    held = await lab.get(DEPLOYMENTS, "one")
    assert condition(held, "Quarantined") == "Released"
    assert "calibrated by hand" in str(condition(held, "Quarantined", "message"))
    # The word was for the first epoch: a failure in the second is another.
    await end(lab, "next")
    await fail(lab, await started(lab, following["metadata"]["uid"], "reset", epoch=2), "DeadlineExceeded")
    again = await reads(lab, "Quarantined")
    assert "it did not end within 30 s" in str(condition(again, "Quarantined", "message"))
    assert await lab.lease("one") is None


async def test_the_lease_stays_until_the_hook_s_pod_is_gone(lab: Lab) -> None:
    node = f"node-{lab.namespace}"
    await lab.client.create(NODES, None, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    uid = await borrowed(lab, RESET)
    await end(lab)
    job = await started(lab, uid, "reset")
    pod = await pod_of(lab, job, node)
    # Somebody deletes the Job: another is made when nothing of the first moves the machine any more.
    await lab.client.delete(JOBS, lab.namespace, job)
    await lab.until(PODS, pod, lambda o: o["metadata"].get("deletionTimestamp"))
    assert await lab.absent(JOBS, job)
    await exited(lab, pod, 143)
    await lab.until_gone(PODS, pod)
    assert await started(lab, uid, "reset") == job
    await pod_of(lab, job, node)
    await fail(lab, job, "DeadlineExceeded")
    await lab.until(PODS, pod, lambda o: o["metadata"].get("deletionTimestamp"))
    lost = await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Quarantined", "status") == "True")
    assert condition(lost, "Quarantined") == "NodeLost"
    assert await lab.lease("one") is not None, "nobody knows whether the hook still moves the machine"
    attest = {"metadata": {"annotations": {"berth.dev/released-by-force": "the machine is off"}}}
    await lab.client.patch(PODS, lab.namespace, pod, attest)
    shut = await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Quarantined") == "ResetFailed")
    assert "lease" not in shut["status"]
    assert await lab.absent(PODS, pod)


async def test_a_workspace_is_opened_only_when_its_machine_is_prepared(lab: Lab) -> None:
    uid = await borrowed(lab, {"prepare": {"command": ["/home"], "image": "prepare.invalid/it:1"}})
    job = await started(lab, uid, "prepare")
    waits = await lab.until(INSTANCES, "mine", lambda o: condition(o, "Ready") == "Preparing")
    assert "address" not in waits["status"]
    assert await lab.absent(PODS, f"i-{uid}")
    assert await lab.absent(SERVICES, f"i-{uid}")
    made = await lab.get(JOBS, job)
    assert made["spec"]["template"]["spec"]["containers"][0]["image"] == "prepare.invalid/it:1"
    assert "198.51.100.7/32" not in str((await lab.get(POLICIES, f"i-{uid}"))["spec"]["ingress"])
    await succeed(lab, job)
    await lab.until(PODS, f"i-{uid}", bool)
    assert condition(await lab.get(INSTANCES, "mine"), "Prepared", "status") == "True"
    assert "berth.dev/type" in (await lab.get(PODS, f"i-{uid}"))["metadata"]["labels"], (
        "its type's policy lets users in"
    )
    # A pod that is made again under the same lease needs no other preparation.
    first = await lab.get(PODS, f"i-{uid}")
    await lab.client.delete(JOBS, lab.namespace, job)
    await lab.client.delete(PODS, lab.namespace, f"i-{uid}")
    await lab.until(PODS, f"i-{uid}", lambda o: o["metadata"]["uid"] != first["metadata"]["uid"], seconds=20)
    assert await lab.absent(JOBS, job)
    await end(lab)
    await has_ended(lab)
    await reads(lab, "Free")


@pytest.mark.release(twin="tests/unit/operator/instances/test_decide_hooks.py")
async def test_a_failed_preparation_ends_the_instance_and_the_machine_is_reset(lab: Lab) -> None:
    uid = await borrowed(lab, {"prepare": {"command": ["/home"]}} | RESET)
    job = await started(lab, uid, "prepare")
    await exited(lab, await pod_of(lab, job), 9)
    await fail(lab, job)
    await succeed(lab, await started(lab, uid, "reset"))
    ended = await has_ended(lab)
    assert ended["status"]["reason"] == "StartFailed"
    assert "the hook prepare failed: exit code 9" in ended["status"]["message"]
    await reads(lab, "Free")


async def test_an_end_during_the_preparation_stops_it_before_the_machine_is_reset(lab: Lab) -> None:
    uid = await borrowed(lab, {"prepare": {"command": ["/home"]}} | RESET)
    node = f"node-{lab.namespace}"
    await lab.client.create(NODES, None, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    pod = await pod_of(lab, await started(lab, uid, "prepare"), node)
    await end(lab)
    await lab.until_gone(JOBS, f"i-{uid}-e1-prepare")
    await lab.until(PODS, pod, lambda o: o["metadata"].get("deletionTimestamp"))
    assert await lab.secrets(uid) == [], "no other pod of it can start"
    assert await lab.absent(JOBS, f"i-{uid}-e1-reset"), "it may still move the machine"
    await exited(lab, pod, 143)
    await succeed(lab, await started(lab, uid, "reset"))
    await has_ended(lab)


async def test_a_pod_that_comes_late_cannot_start_and_is_cleared_away(lab: Lab) -> None:
    uid = await borrowed(lab, RESET)
    await end(lab)
    job = await started(lab, uid, "reset")
    template = await lab.get(JOBS, job)
    await succeed(lab, job)
    await has_ended(lab)
    assert await lab.absent(SECRETS, job), "the Secret that it mounts is gone"
    late = template["spec"]["template"]
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": late["metadata"] | {"name": "late"}, "spec": late["spec"]}
    await lab.client.create(PODS, lab.namespace, body)
    await lab.until_gone(PODS, "late")
    await reads(lab, "Free")


async def test_without_hooks_no_job_is_made(lab: Lab) -> None:
    _, version = await lab.client.list(JOBS, lab.namespace)
    await borrowed(lab, {})
    await end(lab)
    ended = await has_ended(lab)
    assert condition(ended, "Cleaned") is None
    container = {"name": "c", "image": "i"}
    spec = {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    await lab.client.create(JOBS, lab.namespace, {"metadata": {"name": "marker"}, "spec": spec})
    async with asyncio.timeout(60):
        watching = lab.client.watch(JOBS, lab.namespace, version)
        event = await anext(event async for event in watching if event.type != "BOOKMARK")
    assert event.object["metadata"]["name"] == "marker", "it is the first Job ever made there"
