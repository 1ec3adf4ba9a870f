"""`berth deployment release`."""

from berth_cluster.testing import Namespaces
from berth_core import leasing
from berth_core.client import Client
from berth_core.conditions import condition
from berth_core.resources import WorkspaceDeployment

from . import lab
from .conftest import Run


async def quarantined(client: Client, where: str, reason: str) -> WorkspaceDeployment:
    """A deployment misty-1 that had one lease and is in quarantine."""
    await lab.deployment(client, where, "misty-1")
    lease = await leasing.take(client, where, "misty-1", instance="i", user="alice", now=lab.NOW)
    ill = condition(leasing.QUARANTINED, True, reason, "the hook reset failed: exit code 3", now=lab.NOW)
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
