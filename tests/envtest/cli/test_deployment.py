"""`berth deployment`."""

import json

import pytest

from berth_core.kube.client import Client
from berth_core.kube.conditions import condition
from berth_core.kube.types import Object
from berth_core.leases import leasing
from berth_core.leases.availability import QUARANTINED
from berth_core.names import API_VERSION
from berth_core.resources import WorkspaceDeployment, WorkspaceType
from berth_dev.envtest.testing import Namespaces, looked_at

from . import lab
from .conftest import Run


async def quarantined(client: Client, where: str, reason: str) -> WorkspaceDeployment:
    """A deployment misty-1 that had one lease and is in quarantine."""
    await lab.deployment(client, where, "misty-1")
    lease = await leasing.take(client, where, "misty-1", instance="i", user="alice", now=lab.NOW)
    ill = condition(QUARANTINED, True, reason, "the hook reset failed: exit code 3", now=lab.NOW)
    await leasing.give_back(client, where, lease, instance="i", completed=True, now=lab.NOW, conditions=[ill])
    return await read(client, where)


async def read(client: Client, where: str) -> WorkspaceDeployment:
    return WorkspaceDeployment.parse(await client.get(WorkspaceDeployment.api(), where, "misty-1"))


async def test_release_ends_the_present_quarantine_and_keeps_the_reason(
    client: Client, namespaces: Namespaces, berth: Run
) -> None:
    where = namespaces.workspaces
    ill = await quarantined(client, where, "ResetFailed")
    done = berth("deployment", "release", "misty-1", "-w", where, "--reason", "calibrated")
    assert done.code == 0
    since = "2026-05-01T00:00:00Z"
    assert done.out == f"misty-1 leaves quarantine, where it was since {since}: the hook reset failed: exit code 3\n"
    told = (await read(client, where)).spec.quarantine_release
    assert told is not None
    assert (told.epoch, told.reason) == (1, "calibrated")
    # By its id, without a reason, and again: the word is the same.
    assert berth("deployment", "release", ill.public_id, "-w", where).code == 0
    again = (await read(client, where)).spec.quarantine_release
    assert again is not None
    assert (again.epoch, again.reason) == (1, "")


async def test_what_a_silent_node_keeps_is_not_released_this_way(
    client: Client, namespaces: Namespaces, berth: Run
) -> None:
    where = namespaces.workspaces
    await quarantined(client, where, "NodeLost")
    done = berth("deployment", "release", "misty-1", "-w", where, "--reason", "x")
    assert done.code == 1
    assert done.err.startswith("berth: misty-1 is in quarantine until its lease has ended: ")
    assert (await read(client, where)).spec.quarantine_release is None


async def test_a_sound_deployment_needs_no_release(client: Client, namespaces: Namespaces, berth: Run) -> None:
    where = namespaces.workspaces
    await lab.deployment(client, where, "misty-1")
    done = berth("deployment", "release", "misty-1", "-w", where)
    assert (done.code, done.out) == (0, "misty-1 is not in quarantine: nothing to do\n")
    assert (await read(client, where)).spec.quarantine_release is None


def test_no_such_deployment(namespaces: Namespaces, berth: Run) -> None:
    done = berth("deployment", "release", "misty-9", "-w", namespaces.workspaces)
    assert done.code == 4
    assert "berth status --all-namespaces" in done.err


async def made_type(client: Client, where: str) -> None:
    """Make the type misty."""
    spec = {"typeName": "misty", "template": {"image": "example/workspace"}}
    body: Object = {"apiVersion": API_VERSION, "kind": "WorkspaceType", "metadata": {"name": "misty"}, "spec": spec}
    await client.create(WorkspaceType.api(), where, body)


async def test_a_deployment_is_added_locked_unlocked_and_dissolved(
    client: Client, namespaces: Namespaces, berth: Run
) -> None:
    where = namespaces.workspaces
    await made_type(client, where)
    words = ["--region", "lab-a", "--owner", "ada", "--owner", "bob", "--node-selector", "a.example/b=c", "--locked"]
    done = berth(
        "deployment", "add", "misty-1", "-t", "misty", *words, "--heartbeat", "node", "-w", where, "-o", "json"
    )
    assert done.code == 0, done.err
    made = await read(client, where)
    assert json.loads(done.out)["id"] == made.public_id
    assert (made.spec.type, made.spec.region, made.spec.owners, made.spec.heartbeat) == (
        "misty",
        "lab-a",
        ["ada", "bob"],
        "node",
    )
    assert (made.spec.overrides.node_selector, made.spec.lockout) == ({"a.example/b": "c"}, True)
    again = berth("deployment", "add", "misty-1", "-t", "misty", "-w", where)
    assert (again.code, "take another name" in again.err) == (1, True)

    assert berth("deployment", "lock", "misty-1", "-w", where).out == "misty-1 is locked already\n"
    assert berth("deployment", "unlock", "misty-1", "-w", where).out == "misty-1 can be had again\n"
    assert not (await read(client, where)).spec.lockout
    await looked_at(client, {"metadata": {"namespace": where, "name": "misty-1"}})
    instance = await lab.lend(client, where, "misty-1", "alice")
    locked = berth("deployment", "lock", made.public_id, "-w", where)
    assert locked.out == f"misty-1 is locked: new instances are refused; instance {instance} of alice goes on\n"
    assert (await read(client, where)).spec.lockout

    asked = berth("deployment", "dissolve", "misty-1", "-w", where)
    assert (asked.code, "repeat the command with --yes" in asked.err) == (2, True)
    assert f"instance {instance} of alice goes on until it ends" in asked.err
    assert (await read(client, where)).spec.dissolved is None
    assert berth("deployment", "dissolve", "misty-1", "--yes", "-w", where).out == "misty-1 is dissolved\n"
    assert (await read(client, where)).spec.dissolved is not None
    assert berth("deployment", "dissolve", "misty-1", "--yes", "-w", where).code == 1


async def test_what_cannot_be_added_says_why(client: Client, namespaces: Namespaces, berth: Run) -> None:
    where = namespaces.workspaces
    unknown = berth("deployment", "add", "misty-1", "-t", "misty", "-w", where)
    assert (unknown.code, "make a WorkspaceType first" in unknown.err) == (4, True)
    await made_type(client, where)
    assert berth("deployment", "add", "misty-1", "-t", "mis ty", "-w", where).code == 2
    assert berth("deployment", "add", "misty-1", "-t", "misty", "--node-selector", "x", "-w", where).code == 2
    assert berth("deployment", "add", "Misty 1", "-t", "misty", "-w", where).code == 1
    assert berth("deployment", "lock", "misty-1", "-w", where).code == 4


async def test_a_maintenance_is_begun_changed_and_ended(client: Client, namespaces: Namespaces, berth: Run) -> None:
    where = namespaces.workspaces
    await lab.deployment(client, where, "misty-1")
    words = ("deployment", "maintain", "misty-1", "-w", where)
    done = berth(*words, "--reason", "new gripper", "--until", "2200-01-01T17:00:00Z")
    assert done.out == "misty-1 is under maintenance until 2200-01-01T17:00:00Z: new gripper\n"
    told = (await read(client, where)).spec.maintenance
    assert told is not None
    assert (told.reason, told.until) == ("new gripper", "2200-01-01T17:00:00Z")
    assert berth(*words, "--reason", "calibration", "--until", "4h").code == 0
    assert berth(*words, "--reason", "calibration").out.startswith(
        "misty-1 is under maintenance until its owner ends it"
    )
    told = (await read(client, where)).spec.maintenance
    assert told is not None
    assert (told.reason, told.until) == ("calibration", None), "no end of an earlier one stays"
    assert berth(*words, "--end").out == "the maintenance of misty-1 is over\n"
    assert (await read(client, where)).spec.maintenance is None
    assert berth(*words, "--end").out == "misty-1 is not under maintenance\n"


@pytest.mark.parametrize(
    "words",
    [(), ("--end", "--reason", "x"), ("--until", "4h"), ("--reason", "x", "--until", "soon"), ("--reason", " ")],
)
async def test_a_maintenance_needs_a_reason_and_an_end_that_comes(
    client: Client, namespaces: Namespaces, berth: Run, words: tuple[str, ...]
) -> None:
    where = namespaces.workspaces
    await lab.deployment(client, where, "misty-1")
    assert berth("deployment", "maintain", "misty-1", "-w", where, *words).code == 2
    assert (await read(client, where)).spec.maintenance is None
