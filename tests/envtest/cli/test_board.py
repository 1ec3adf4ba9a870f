"""`berth status` and `berth release`."""

import json

import yaml

from berth_core import names
from berth_core.kube.client import Client
from berth_core.leases import leasing
from berth_core.leases.availability import Lease
from berth_core.resources import Instance, WorkspaceDeployment
from berth_dev.envtest.testing import Namespaces

from . import lab
from .conftest import Run


async def test_the_table_says_what_is_free_and_who_has_what(client: Client, namespaces: Namespaces, berth: Run) -> None:
    where = namespaces.workspaces
    await lab.deployment(client, where, "misty-1")
    await lab.deployment(client, where, "misty-2")
    await lab.lend(client, where, "misty-1", "alice")
    await lab.end(client, where, await lab.lend(client, where, "misty-2", "bob"))
    done = berth("status", "-w", where)
    assert done.code == 0
    head, first, second = done.out.splitlines()
    assert head.split() == ["DEPLOYMENT", "TYPE", "AVAILABLE", "HOLDER", "SINCE", "UNTIL", "ADDRESS"]
    since, until = "2026-05-01T00:00:00Z", "2026-05-01T02:00:00Z"
    assert first.split() == ["misty-1", "misty", "no:", "Leased", "alice", since, until, "192.0.2.7:30022"]
    assert second.split() == ["misty-2", "misty", "yes", "-", "-", "-", "-"]


async def test_programs_get_the_same_as_json_and_yaml(client: Client, namespaces: Namespaces, berth: Run) -> None:
    where = namespaces.workspaces
    await lab.deployment(client, where, "misty-1")
    instance = await lab.lend(client, where, "misty-1", "alice")
    said = json.loads(berth("status", "-w", where, "-o", "json").out)
    assert said == yaml.safe_load(berth("status", "-w", where, "-o", "yaml").out)
    (row,) = said
    assert (row["available"], row["reason"], row["holder"], row["instance"]) == (False, "Leased", "alice", instance)
    assert (row["address"], row["epoch"]) == ("192.0.2.7:30022", 1)
    everywhere = json.loads(berth("status", "-A", "-o", "json").out)
    assert row in everywhere


def test_nothing_there(namespaces: Namespaces, berth: Run) -> None:
    done = berth("status", "-w", namespaces.workspaces)
    assert (done.code, done.out) == (0, "")
    assert "make a WorkspaceDeployment" in done.err
    assert berth("status", "-w", namespaces.workspaces, "-o", "json").out == "[]\n"


async def test_release_ends_the_instance_and_keeps_the_reason(
    client: Client, namespaces: Namespaces, berth: Run
) -> None:
    where = namespaces.workspaces
    await lab.deployment(client, where, "misty-1")
    instance = await lab.lend(client, where, "misty-1", "alice")
    done = berth("release", "misty-1", "-w", where, "--reason", "maintenance")
    assert (done.code, done.out) == (0, f"instance {instance} of alice ends\n")
    ending = Instance.parse(await client.get(Instance.api(), where, instance))
    assert ending.spec.terminate
    assert ending.metadata.annotations == {names.RELEASE_REASON_ANNOTATION: "maintenance"}
    pod = await client.get(lab.PODS, where, names.instance_object(instance))
    assert "annotations" not in pod["metadata"]


async def test_release_by_id(client: Client, namespaces: Namespaces, berth: Run) -> None:
    where = namespaces.workspaces
    await lab.deployment(client, where, "misty-1")
    await lab.lend(client, where, "misty-1", "alice")
    wd = WorkspaceDeployment.parse(await client.get(WorkspaceDeployment.api(), where, "misty-1"))
    assert berth("release", wd.public_id, "-w", where, "--reason", "maintenance").code == 0


async def test_force_vouches_for_the_pod_of_this_lease_only(client: Client, namespaces: Namespaces, berth: Run) -> None:
    where = namespaces.workspaces
    await lab.deployment(client, where, "misty-1")
    instance = await lab.lend(client, where, "misty-1", "alice")
    await lab.pod(client, where, instance, Lease("misty-1", 7), name="of-another-epoch")
    await lab.deployment(client, where, "misty-2")
    other = await lab.lend(client, where, "misty-2", "bob")
    done = berth("release", "misty-1", "-w", where, "--force", "--reason", "burnt down")
    assert done.code == 0
    pods, _ = await client.list(lab.PODS, where)
    marked = {pod["metadata"]["name"]: pod["metadata"].get("annotations") for pod in pods}
    assert marked == {
        names.instance_object(instance): {names.FORCED_ANNOTATION: "burnt down"},
        "of-another-epoch": None,
        names.instance_object(other): None,
    }
    # The lease itself is the operator's to give back.
    held = WorkspaceDeployment.parse(await client.get(WorkspaceDeployment.api(), where, "misty-1")).status.lease
    assert held is not None


async def test_a_free_deployment_needs_no_release(client: Client, namespaces: Namespaces, berth: Run) -> None:
    await lab.deployment(client, namespaces.workspaces, "misty-1")
    done = berth("release", "misty-1", "-w", namespaces.workspaces, "--reason", "x")
    assert (done.code, done.out) == (0, "misty-1 is not leased: nothing to do\n")


async def test_a_lease_whose_instance_is_gone(client: Client, namespaces: Namespaces, berth: Run) -> None:
    where = namespaces.workspaces
    await lab.deployment(client, where, "misty-1")
    await leasing.take(client, where, "misty-1", instance="gone", user="alice", now=lab.NOW)
    done = berth("release", "misty-1", "-w", where, "--reason", "x")
    assert done.code == 0
    assert "within 30 s" in done.out


def test_no_such_deployment_and_no_reason(namespaces: Namespaces, berth: Run) -> None:
    done = berth("release", "misty-9", "-w", namespaces.workspaces, "--reason", "x")
    assert done.code == 4
    assert "berth status --all-namespaces" in done.err
    assert berth("release", "misty-9", "--reason", " ").code == 2
    assert berth("release", "misty-9").code == 2
