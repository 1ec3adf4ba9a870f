"""Builds from their turn to their end: what is made for them, in which order, and that their machine ends."""

import asyncio
import base64
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import aclosing

import pytest
from amount import but_first

from berth_core.kube.errors import AlreadyExistsError
from berth_core.kube.types import Kind, Object
from berth_dev.envtest.apiserver import ApiServer

from .broken_off import deletion_of, put_back
from .builds import (
    CI,
    COMMIT,
    JOBS,
    build,
    ended,
    found,
    is_over,
    pod_of,
    project,
    reads,
    runs,
    says,
    started,
)
from .killing import Happens, deleted, kill, made, succeed
from .lab import (
    BERTH,
    BUILDS,
    DEPLOYMENTS,
    INSTANCES,
    KEY,
    PODS,
    POLICIES,
    SECRETS,
    UNSWEPT_SECONDS,
    Lab,
    condition,
    mounted,
)
from .process import Operators

pytestmark = pytest.mark.apiserver


@pytest.fixture(autouse=True)
def _operator(lab: Lab, operators: Operators) -> None:
    operators.start(**CI, BERTH_CI_MAX_WAITING_PER_USER="3")


async def nothing_left(lab: Lab, public_id: str) -> None:
    for kind in (JOBS, PODS, SECRETS, POLICIES):
        left, _ = await lab.client.list(kind, lab.namespace, labels={"berth.dev/build": public_id})
        assert left == [], f"{kind.plural} are left"


async def test_a_build_is_fetched_then_run_then_over(lab: Lab) -> None:
    await project(lab)
    uid = await build(lab, "one", commit=COMMIT[:8])
    fetch = await started(lab, uid, "fetch")
    told = {e["name"]: e["value"] for e in fetch["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert (told["BERTH_BRANCH"], told["BERTH_COMMIT"]) == ("main", COMMIT[:8])
    policy = await lab.get(POLICIES, f"b-{uid}-1")
    assert "Ingress" in policy["spec"]["policyTypes"]
    assert "ingress" not in policy["spec"], "nobody comes in"
    assert all(entry["ports"] for entry in policy["spec"]["egress"]), "the repository's port and DNS only"
    assert await lab.absent(JOBS, f"b-{uid}-1-run")
    await found(lab, uid)
    run = await started(lab, uid, "run")
    assert run["spec"]["template"]["spec"]["containers"][0]["image"] == "script.invalid/it:1"
    assert run["spec"]["activeDeadlineSeconds"] > 600
    pod = await pod_of(lab, run)
    await says(lab, pod, "Running", checkout=ended(0), artifacts=runs(), script=runs())
    await reads(lab, "one", "Running", "Script")
    await says(lab, pod, "Running", checkout=ended(0), artifacts=runs(), script=ended(3))
    await reads(lab, "one", "Running", "Packing")
    await says(lab, pod, "Failed", checkout=ended(0), artifacts=ended(0), script=ended(3))
    over = await is_over(lab, "one")
    status = over["status"]
    assert (status["reason"], status["exitCode"], status["commit"]) == ("ScriptFailed", 3, COMMIT)
    assert status["message"] == "the script ended with exit code 3"
    assert "log" not in status, "no kubelet is here to give one out"
    await nothing_left(lab, uid)


async def test_a_wrong_file_is_told_and_a_restart_begins_anew(lab: Lab) -> None:
    await project(lab)
    uid = await build(lab, "one")
    pod = await pod_of(lab, await started(lab, uid, "fetch"))
    report = '{"error": "RecipeInvalid", "message": ".berth.yml, line 3: no"}'
    await says(lab, pod, "Failed", fetch=ended(1, report))
    over = await is_over(lab, "one")
    assert over["status"]["reason"] == "RecipeInvalid"
    assert over["status"]["message"].startswith(".berth.yml, line 3: no")
    await lab.client.patch(BUILDS, lab.namespace, "one", {"spec": {"attempt": 2}})
    await found(lab, uid, attempt=2)
    again = await lab.get(BUILDS, "one")
    assert again["status"]["attempt"] == 2
    assert "reason" not in again["status"]
    assert "endTime" not in again["status"]


async def test_a_script_has_a_secret_that_its_status_names_first_and_each_attempt_another(lab: Lab) -> None:
    await project(lab)
    uid = await build(lab, "one")
    _, version = await lab.client.list(BUILDS, lab.namespace)
    nonces: list[str] = []
    for attempt in (1, 2):
        await found(lab, uid, attempt=attempt)
        run = await started(lab, uid, "run", attempt)
        status = (await lab.get(BUILDS, "one"))["status"]
        nonces.append(status["nonce"])
        secret = f"b-{uid}-{attempt}-{status['nonce']}"
        assert secret in mounted(run["spec"]["template"])
        assert not await lab.absent(SECRETS, secret)
        named = await _first(lab, version, lambda o: (o.get("status") or {}).get("nonce") == nonces[-1])
        assert int(named) < int(run["metadata"]["resourceVersion"]), "the status comes before the Job"
        await lab.client.patch(BUILDS, lab.namespace, "one", {"spec": {"cancel": attempt}})
        await is_over(lab, "one")
        await lab.until_gone(SECRETS, secret, seconds=UNSWEPT_SECONDS)
        await lab.client.patch(BUILDS, lab.namespace, "one", {"spec": {"attempt": attempt + 1}})
    assert nonces[0] != nonces[1]


async def _first(lab: Lab, since: str, holds: Callable[[Object], bool]) -> str:
    """Version at which something first holds of a Build."""
    async with asyncio.timeout(60), aclosing(lab.client.watch(BUILDS, lab.namespace, since)) as events:
        async for event in events:
            if event.type != "BOOKMARK" and holds(event.object):
                return str(event.object["metadata"]["resourceVersion"])
    raise AssertionError("the watch ended")


async def test_a_build_waits_for_its_machine_and_gives_it_back_before_it_is_over(lab: Lab) -> None:
    await lab.type()
    await project(lab)
    uid = await build(lab, "one")
    await found(lab, uid, workspace="bench")
    await reads(lab, "one", "WorkspaceReady", "Waiting")
    instance = f"b-{uid}-1"
    waiting = await lab.until(INSTANCES, instance, bool)
    assert waiting["spec"]["user"] == "ada"
    secret = await lab.get(SECRETS, instance)
    assert len(waiting["spec"]["sshKeys"]) == 1
    assert set(secret["data"]) == {"key", "key.pub"}
    assert await lab.absent(JOBS, f"b-{uid}-1-run"), "no script without its machine"
    # It holds nobody up: another build of the same user runs meanwhile.
    other = await build(lab, "two")
    await started(lab, other, "fetch")
    await lab.create(DEPLOYMENTS, "desk", {"type": "bench"})
    await reads(lab, "one", "WorkspaceReady", "Starting")
    await lab.client.patch(BUILDS, lab.namespace, "one", {"spec": {"cancel": 1}})
    over = await is_over(lab, "one")
    assert over["status"]["reason"] == "Canceled"
    assert (await lab.get(INSTANCES, instance))["spec"]["terminate"] is True
    await lab.until(INSTANCES, instance, lambda o: condition(o, "Ended", "status") == "True")
    assert await lab.lease("desk") is None
    await nothing_left(lab, uid)


async def test_a_machine_that_will_never_be_had_is_told(lab: Lab) -> None:
    await lab.type(access="closed")
    await lab.deployment("desk")
    await project(lab)
    for name, workspace, reason in (("none", "no_such", "WorkspaceUnknown"), ("shut", "bench", "WorkspaceRefused")):
        await found(lab, await build(lab, name), workspace=workspace)
        over = await is_over(lab, name)
        assert over["status"]["reason"] == reason
        assert "instance" not in over["status"]


async def test_a_machine_that_ends_early_ends_its_build(lab: Lab) -> None:
    await lab.type()
    await lab.deployment("desk")
    await project(lab)
    uid = await build(lab, "one")
    await found(lab, uid, workspace="bench")
    await lab.until(INSTANCES, f"b-{uid}-1", lambda o: condition(o, "Bound", "status") == "True")
    await lab.client.patch(INSTANCES, lab.namespace, f"b-{uid}-1", {"spec": {"terminate": True}})
    over = await is_over(lab, "one")
    assert over["status"]["reason"] == "WorkspaceFailed"


async def test_a_build_that_is_deleted_leaves_no_machine(lab: Lab) -> None:
    await lab.type()
    await lab.deployment("desk")
    await project(lab)
    uid = await build(lab, "one")
    await found(lab, uid, workspace="bench")
    await lab.until(INSTANCES, f"b-{uid}-1", lambda o: condition(o, "Bound", "status") == "True")
    await lab.client.delete(BUILDS, lab.namespace, "one")
    await lab.until(INSTANCES, f"b-{uid}-1", lambda o: condition(o, "Ended", "status") == "True", seconds=15)
    await lab.until(DEPLOYMENTS, "desk", lambda o: condition(o, "Available") == "Free", seconds=15)
    await asyncio.gather(*(lab.until_gone(kind, f"b-{uid}-1") for kind in (SECRETS, POLICIES)))
    await nothing_left(lab, uid)


FORGED: list[tuple[str, Object, Object]] = [
    ("another's", {"user": "eve"}, {}),
    ("with another key", {"sshKeys": [KEY]}, {}),
    ("with a key more", {}, {}),
    ("of another type", {"workspaceType": "other"}, {}),
    ("with another repository", {"repo": {"url": "https://x.test/evil"}}, {}),
    ("without labels", {}, {"labels": {}}),
    ("without an owner", {}, {"ownerReferences": []}),
]


@pytest.mark.parametrize(
    ("spec", "metadata"), but_first(*(entry[1:] for entry in FORGED), stay=2), ids=[entry[0] for entry in FORGED]
)
async def test_an_instance_that_somebody_else_made_is_no_machine_of_a_build(
    lab: Lab, spec: Object, metadata: Object
) -> None:
    await lab.type()
    await lab.deployment("desk")
    await project(lab)
    uid = await build(lab, "one")
    await started(lab, uid, "fetch")
    name = f"b-{uid}-1"
    public, owned = await machine_secret(lab, uid)
    keys = {"sshKeys": [public, *([] if spec or metadata else [KEY])]}
    await lab.create(INSTANCES, name, {"user": "ada", "workspaceType": "bench"} | keys | spec, **owned | metadata)
    await found(lab, uid, workspace="bench")
    over = await is_over(lab, "one")
    assert over["status"]["reason"] == "NameTaken"
    assert "delete it, then restart the build" in over["status"]["message"]
    assert await lab.absent(JOBS, f"b-{uid}-1-run"), "nothing of the build gets there"


async def test_what_an_operator_made_before_its_end_is_the_builds_machine(lab: Lab) -> None:
    await lab.type()
    await lab.deployment("desk")
    await project(lab)
    uid = await build(lab, "one")
    await started(lab, uid, "fetch")
    public, owned = await machine_secret(lab, uid)
    spec = {"user": "ada", "workspaceType": "bench", "sshKeys": [public]}
    made = await lab.create(INSTANCES, f"b-{uid}-1", spec, **owned)
    await found(lab, uid, workspace="bench")
    status = (await lab.until(BUILDS, "one", lambda o: "instance" in o["status"]))["status"]
    assert status["instanceUid"] == made["metadata"]["uid"]


async def test_a_machine_that_is_replaced_under_its_name_is_none(lab: Lab) -> None:
    """Its user may delete it, and anybody may be quicker than the operator with another."""
    await lab.type()
    await project(lab)
    uid = await build(lab, "one")
    await found(lab, uid, workspace="bench")
    name = f"b-{uid}-1"
    known = await lab.until(BUILDS, "one", lambda o: "instanceUid" in o["status"])
    before = await lab.get(INSTANCES, name)
    assert known["status"]["instanceUid"] == before["metadata"]["uid"]
    kept = {key: before["metadata"][key] for key in ("labels", "ownerReferences")}
    forged = before["spec"] | {"user": "eve", "sshKeys": [KEY]}
    # Of one that waits, no finalizer keeps the operator from making it again first: it must lose that race.
    while True:
        await lab.client.delete(INSTANCES, lab.namespace, name)
        try:
            await lab.create(INSTANCES, name, forged, **kept)
        except AlreadyExistsError:
            continue
        break
    over = await is_over(lab, "one")
    assert over["status"]["reason"] == "NameTaken"


async def machine_secret(lab: Lab, uid: str) -> tuple[str, Object]:
    """The Secret with a machine's key, as the operator makes it; its public half, and what all of a build carries."""
    public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB4fHh0cGxoZGBcWFRQTEhEQDw4NDAsKCQgHBgUEAwIB"
    owner = {"apiVersion": BERTH, "kind": "Build", "name": "one", "uid": uid, "controller": True}
    labels = {"berth.dev/build": uid, "berth.dev/build-attempt": "1", "app.kubernetes.io/managed-by": "berth"}
    metadata = {"labels": labels, "ownerReferences": [owner]}
    data = {"key": base64.b64encode(b"secret").decode(), "key.pub": base64.b64encode(public.encode()).decode()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"b-{uid}-1"} | metadata, "data": data}
    await lab.client.create(SECRETS, lab.namespace, secret)
    return public, metadata


@pytest.mark.release(twin="tests/envtest/operator/test_late.py::test_what_is_made_for_a_build_that_is_over_is_cleared")
async def test_what_comes_after_the_end_is_cleared_away(lab: Lab) -> None:
    await lab.type()
    await project(lab)
    uid = await build(lab, "one")
    fetch = await started(lab, uid, "fetch")
    await lab.client.patch(BUILDS, lab.namespace, "one", {"spec": {"cancel": 1}})
    await is_over(lab, "one")
    labels = fetch["metadata"]["labels"]
    job = {"metadata": {"name": f"b-{uid}-1-run", "labels": labels}}
    template = {"metadata": {"labels": labels}, "spec": fetch["spec"]["template"]["spec"]}
    await lab.client.create(JOBS, lab.namespace, job | {"spec": {"template": template}})
    await lab.create(INSTANCES, f"b-{uid}-1", {"user": "ada", "workspaceType": "bench"}, labels=labels)
    await lab.until_gone(JOBS, f"b-{uid}-1-run")
    await lab.until(INSTANCES, f"b-{uid}-1", lambda o: condition(o, "Ended", "status") == "True")


async def test_a_pod_whose_deletion_was_broken_off_is_deleted(lab: Lab, apiserver: ApiServer) -> None:
    await project(lab)
    uid = await build(lab, "one")
    pod = await pod_of(lab, await started(lab, uid, "fetch"))
    since = (await lab.get(PODS, pod))["metadata"]["resourceVersion"]
    await lab.client.patch(BUILDS, lab.namespace, "one", {"spec": {"cancel": 1}})
    deleted_at = await deletion_of(lab, pod, since)
    await is_over(lab, "one")
    came_back_at = await put_back(lab, apiserver, pod, deleted_at)
    await deletion_of(lab, pod, came_back_at)


@pytest.mark.release(twin="tests/unit/operator/builds/test_limits.py")
async def test_turns_are_given_in_order_with_limits_for_all_and_for_each(lab: Lab) -> None:
    users = ("ada", "bob", "cyd", "dan")
    for user in users:
        await project(lab, user)
    names = [f"{user}-{number}" for number in range(3) for user in users]
    _, version = await lab.client.list(BUILDS, lab.namespace)
    uids = {name: await build(lab, name, name[:3]) for name in names}
    running: set[str] = set()
    most, most_mine, over = 0, 0, set[str]()
    async with asyncio.timeout(60), aclosing(lab.client.watch(BUILDS, lab.namespace, version)) as events:
        async for event in events:
            name, status = event.object["metadata"].get("name", ""), event.object.get("status") or {}
            if status.get("endTime"):
                running.discard(name)
                over.add(name)
            elif status.get("startTime") and name not in running:
                running.add(name)
                pod = await pod_of(lab, await started(lab, uids[name], "fetch"))
                await says(lab, pod, "Failed", fetch=ended(1, '{"error": "RecipeMissing", "message": "none"}'))
            most = max(most, len(running))
            most_mine = max([most_mine, *Counter(one[:3] for one in running).values()])
            if len(over) == len(names):
                break
    assert most == 5
    assert most_mine <= 2


async def test_who_has_too_many_that_wait_is_told_at_once(lab: Lab) -> None:
    await project(lab)
    for name in ("runs-1", "runs-2"):
        await build(lab, name)
        await lab.until(BUILDS, name, lambda o: "startTime" in (o.get("status") or {}), seconds=30)
    for name in ("waits-1", "waits-2", "waits-3"):
        await build(lab, name)
        await lab.until(BUILDS, name, lambda o: condition(o, "Ended") == "Waiting")
    for name in ("x-1", "x-2"):
        await build(lab, name)
        assert (await is_over(lab, name))["status"]["reason"] == "TooManyWaiting"
    for name in ("waits-1", "waits-2", "waits-3"):
        assert "reason" not in (await lab.get(BUILDS, name))["status"]


async def test_nobody_builds_with_another_s_project(lab: Lab) -> None:
    await project(lab, "bob")
    await lab.create(BUILDS, "one", {"project": "p-bob", "user": "ada", "branch": "main"})
    over = await is_over(lab, "one", seconds=30)
    assert over["status"]["reason"] == "NotTheProjects"


WITH_A_MACHINE: list[tuple[str, Kind, Happens]] = [
    ("its first Job is made", JOBS, made),
    ("its commit is known", BUILDS, lambda _, o: "commit" in (o.get("status") or {})),
    ("the key to its machine is made", SECRETS, made),
    ("its machine is asked for", INSTANCES, made),
    ("its verdict is written", BUILDS, lambda _, o: "reason" in (o.get("status") or {})),
    ("its machine is asked back", INSTANCES, lambda _, o: bool(o["spec"].get("terminate"))),
]
WITHOUT: list[tuple[str, Kind, Happens]] = [
    ("its turn has come", BUILDS, lambda _, o: "startTime" in (o.get("status") or {})),
    ("the Secret of its script is made", SECRETS, made),
    ("its nonce is written", BUILDS, lambda _, o: "nonce" in (o.get("status") or {})),
    ("its second Job is made", JOBS, lambda event, o: made(event, o) and o["metadata"]["name"].endswith("-run")),
    ("its verdict is written", BUILDS, lambda _, o: "reason" in (o.get("status") or {})),
    ("its pods are deleted", PODS, deleted),
]


@pytest.mark.release(twin="tests/sim/test_histories.py")
async def test_a_machine_is_given_back_after_a_kill_at_any_write(lab: Lab, operators: Operators) -> None:
    await lab.type()
    await lab.deployment("desk")
    await project(lab)
    for number, (_, kind, happens) in enumerate(WITH_A_MACHINE):
        name = f"kill-{number}"
        await _killed_when(lab, operators, kind, happens, _leased_and_canceled(lab, name))
        over = await is_over(lab, name, seconds=30)
        uid = over["metadata"]["uid"]
        assert over["status"]["reason"] == "Canceled"
        await lab.until(INSTANCES, f"b-{uid}-1", lambda o: condition(o, "Ended", "status") == "True", seconds=30)
        await lab.until(DEPLOYMENTS, "desk", lambda o: condition(o, "Available") == "Free", seconds=15)
        await nothing_left(lab, uid)


@pytest.mark.release(twin="tests/sim/test_histories.py")
async def test_a_build_comes_to_its_end_after_a_kill_at_any_write(lab: Lab, operators: Operators) -> None:
    await project(lab)
    for number, (_, kind, happens) in enumerate(WITHOUT):
        name = f"kill-{number}"
        await _killed_when(lab, operators, kind, happens, _run_through(lab, name))
        over = await is_over(lab, name, seconds=30)
        assert (over["status"]["reason"], over["status"]["exitCode"]) == ("Passed", 0)
        await nothing_left(lab, over["metadata"]["uid"])


async def _killed_when(
    lab: Lab, operators: Operators, kind: Kind, happens: Happens, act: Coroutine[object, object, None]
) -> None:
    """Do something, kill the operator at the first event of that sort, and go on with another."""
    _, version = await lab.client.list(kind, lab.namespace)
    acting = asyncio.create_task(act)
    async with asyncio.timeout(60):
        async for event in lab.client.watch(kind, lab.namespace, version):
            if event.type != "BOOKMARK" and happens(event.type, event.object):
                break
    await kill(operators)
    await succeed(lab, operators, **CI)
    await acting


async def _leased_and_canceled(lab: Lab, name: str) -> None:
    uid = await build(lab, name)
    await started(lab, uid, "fetch", seconds=30)
    await found(lab, uid, workspace="bench")
    await lab.until(INSTANCES, f"b-{uid}-1", lambda o: condition(o, "Bound", "status") == "True", seconds=30)
    await lab.client.patch(BUILDS, lab.namespace, name, {"spec": {"cancel": 1}})


async def _run_through(lab: Lab, name: str) -> None:
    uid = await build(lab, name)
    await started(lab, uid, "fetch", seconds=30)
    await found(lab, uid)
    pod = await pod_of(lab, await started(lab, uid, "run", seconds=30))
    await says(lab, pod, "Succeeded", checkout=ended(0), artifacts=ended(0), script=ended(0))
