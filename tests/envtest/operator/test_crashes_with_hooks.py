"""The operator is killed right after each write that hooks add to a lease's end, and no hook runs twice."""

import pytest

from berth_core.kube.types import Kind, Object

from .hooks import JOBS, RESET, end, exited, fail, has_ended, pod_of, reads, started, succeed
from .killing import Happens, deleted, kill_when, made, nothing_left
from .lab import DEPLOYMENTS, INSTANCES, PODS, POLICIES, SECRETS, Lab, condition
from .process import Operators

pytestmark = [pytest.mark.apiserver, pytest.mark.release(twin="tests/sim/test_histories.py")]

PREPARING: list[tuple[str, Kind, Happens]] = [
    ("its Job is made", JOBS, made),
    ("the Instance says that it is prepared", INSTANCES, lambda _, o: condition(o, "Prepared", "status") == "True"),
    ("the workspace's pod is made", PODS, made),
]
WHILE_IT_RUNS: list[tuple[str, Kind, Happens]] = [
    ("the hook is shut in", POLICIES, made),
    ("the hook's Secret is made", SECRETS, made),
    ("its Job is made", JOBS, made),
    ("the Instance says that it runs", INSTANCES, lambda _, o: condition(o, "Cleaned") == "Resetting"),
    ("the deployment says so", DEPLOYMENTS, lambda _, o: condition(o, "Available") == "Cleaning"),
]
WHEN_IT_HAS_FAILED: list[tuple[str, Kind, Happens]] = [
    ("the verdict is written", INSTANCES, lambda _, o: condition(o, "Cleaned") == "ResetFailed"),
    ("its Secret is deleted", SECRETS, lambda event, o: deleted(event, o) and "-reset-" in o["metadata"]["name"]),
    ("its Job is deleted", JOBS, deleted),
    ("its pod is gone", PODS, lambda event, o: deleted(event, o) and "berth.dev/hook" in o["metadata"]["labels"]),
    ("the lease is given back", DEPLOYMENTS, lambda _, o: "lease" not in o["status"]),
]


async def jobs_made_since(lab: Lab, version: str) -> list[str]:
    """Names of all Jobs that were ever made since a version."""
    container = {"name": "c", "image": "i"}
    spec = {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    await lab.client.create(JOBS, lab.namespace, {"metadata": {"name": "marker"}, "spec": spec})
    found: list[str] = []
    async for event in lab.client.watch(JOBS, lab.namespace, version):
        if event.type == "ADDED" and event.object["metadata"]["name"] == "marker":
            break
        if event.type == "ADDED":
            found.append(event.object["metadata"]["name"])
    return found


async def borrowed(lab: Lab, name: str) -> str:
    """An Instance that has the deployment, with its pod; its id."""
    await lab.instance(name, workspaceType="bench", requesterAddress="198.51.100.7")
    bound = await lab.until(INSTANCES, name, lambda o: condition(o, "Bound", "status") == "True", seconds=20)
    public_id = str(bound["metadata"]["uid"])
    await lab.until(PODS, f"i-{public_id}", bool)
    return public_id


async def end_and_fail(lab: Lab, name: str, public_id: str, epoch: int) -> None:
    await end(lab, name)
    job = await started(lab, public_id, "reset", epoch, seconds=20)
    await exited(lab, await pod_of(lab, job), 3)
    await fail(lab, job)


async def ask_and_prepare(lab: Lab, name: str, epoch: int) -> None:
    await lab.instance(name, workspaceType="bench")
    public_id = (await lab.get(INSTANCES, name))["metadata"]["uid"]
    await succeed(lab, await started(lab, public_id, "prepare", epoch, seconds=20))


async def test_a_launch_with_a_hook_goes_on_after_a_kill_at_any_write(lab: Lab, operators: Operators) -> None:
    operators.start()
    await lab.type(hooks={"prepare": {"command": ["/home"]}})
    await lab.deployment("one")
    _, version = await lab.client.list(JOBS, lab.namespace)
    jobs: list[str] = []
    for epoch, (_, kind, happens) in enumerate(PREPARING, start=1):
        name = f"launch-{epoch}"
        await kill_when(lab, operators, kind, happens, ask_and_prepare(lab, name, epoch))
        public_id = (await lab.get(INSTANCES, name))["metadata"]["uid"]
        await lab.until(PODS, f"i-{public_id}", bool, seconds=20)
        await lab.until(INSTANCES, name, lambda o: condition(o, "Prepared", "status") == "True")
        jobs.append(f"i-{public_id}-e{epoch}-prepare")
        await end(lab, name)
        await has_ended(lab, name, seconds=20)
        await nothing_left(lab, public_id)
        await reads(lab, "Free")
    assert await jobs_made_since(lab, version) == jobs, "each lease was prepared once"


async def test_an_end_with_a_hook_goes_on_after_a_kill_at_any_write(lab: Lab, operators: Operators) -> None:
    operators.start()
    await lab.type(hooks=RESET)
    await lab.deployment("one")
    _, version = await lab.client.list(JOBS, lab.namespace)
    lives: list[str] = []
    for number, (_, kind, happens) in enumerate(WHILE_IT_RUNS, start=1):
        name = f"clean-{number}"
        public_id = await borrowed(lab, name)
        lives.append(public_id)
        await kill_when(lab, operators, kind, happens, end(lab, name))
        job = await started(lab, public_id, "reset", number, seconds=20)
        assert await lab.lease("one") is not None
        await succeed(lab, job)
        await has_ended(lab, name, seconds=20)
        await nothing_left(lab, public_id)
        assert condition(await reads(lab, "Free"), "Quarantined", "status") == "False"
    for number, (_, kind, happens) in enumerate(WHEN_IT_HAS_FAILED, start=len(lives) + 1):
        name = f"failed-{number}"
        public_id = await borrowed(lab, name)
        lives.append(public_id)
        await kill_when(lab, operators, kind, happens, end_and_fail(lab, name, public_id, number))
        await has_ended(lab, name, seconds=20)
        await nothing_left(lab, public_id)
        shut = await lab.get(DEPLOYMENTS, "one")
        assert "lease" not in shut["status"]
        assert (condition(shut, "Available"), condition(shut, "Quarantined")) == ("Quarantined", "ResetFailed")
        why = f"after instance {public_id} (epoch {number}) the hook reset failed: exit code 3"
        assert why in str(condition(shut, "Quarantined", "message"))
        body: Object = {"spec": {"quarantineRelease": {"epoch": number}}}
        await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", body)
    assert await jobs_made_since(lab, version) == [
        f"i-{public_id}-e{epoch}-reset" for epoch, public_id in enumerate(lives, start=1)
    ], "each lease was followed by one reset"
