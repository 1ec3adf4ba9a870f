"""An object that no model takes stops only what is about itself."""

import json
from typing import Any

import pytest
from loosening import loosened

from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.types import Object
from berth_core.names import API_VERSION
from berth_core.resources import (
    Account,
    Instance,
    IssuedToken,
    Resource,
    TokenRevocation,
    WorkspaceDeployment,
)
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces

from . import lab
from .conftest import Run

pytestmark = pytest.mark.release(twin="tests/envtest/operator/test_unreadable.py")

SHA = "9f86d081" * 8
NO_TIME = "2026-02-01 01:00:00Z"
LATER = "2100-01-01T00:00:00Z"


async def store(client: Client, kind: type[Resource], namespace: str, name: str, spec: Object) -> None:
    body = {"apiVersion": API_VERSION, "kind": kind.KIND, "metadata": {"name": name}, "spec": spec}
    await client.create(kind.api(), namespace, body)


@pytest.fixture(scope="module")
def apiserver(own_apiserver: ApiServer) -> ApiServer:
    """A server that nobody else uses, since its CRDs change."""
    return own_apiserver


@pytest.fixture
async def odd(apiserver: ApiServer, client: Client, namespaces: Namespaces) -> str:
    """A lease of which neither the Instance nor the deployment can be read, and odd records. Gives the instance."""
    where, access = namespaces.workspaces, namespaces.access
    records: dict[type[Resource], tuple[str, Object]] = {
        IssuedToken: (SHA, {"sha256": SHA, "user": "ada", "issued": NO_TIME, "expires": LATER}),
        Account: ("ada", {"user": "ada", "tokensValidAfter": NO_TIME}),
        TokenRevocation: ("odd", {"sha256": "a" * 64, "expires": NO_TIME}),
    }
    for name in ("misty-1", "misty-2"):
        await lab.deployment(client, where, name)
    instance = await lab.lend(client, where, "misty-1", "ada")
    kinds: list[type[Resource]] = [*records, Instance, WorkspaceDeployment]
    with loosened(apiserver, *(kind.PLURAL for kind in kinds)):
        for kind, (name, spec) in records.items():
            await store(client, kind, access, name, spec)
        await client.patch(WorkspaceDeployment.api(), where, "misty-1", {"spec": {"heartbeat": "sometimes"}})
        await client.patch(Instance.api(), where, instance, {"spec": {"requesterAddress": "x" * 60}})
    return instance


async def test_status_shows_the_others_and_names_what_it_leaves_out(
    odd: str, namespaces: Namespaces, berth: Run
) -> None:
    done = berth("status", "-w", namespaces.workspaces, "-o", "json")
    assert done.code == 0, done.err
    assert [row["deployment"] for row in json.loads(done.out)] == ["misty-2"]
    assert "WorkspaceDeployment misty-1 cannot be read" in done.err
    assert f"Instance {odd} cannot be read" in done.err


async def test_doctor_names_it(odd: str, namespaces: Namespaces, berth: Run) -> None:
    done = berth("doctor", "-n", namespaces.release, "-w", namespaces.workspaces, "-o", "json")
    found = {one["check"]: one for one in json.loads(done.out)}
    assert f"Instance {namespaces.workspaces}/{odd}" in found["readable"]["says"]
    assert found["quotas"]["level"] == "unknown", "no operator is there to say what the bounds are"


async def test_tokens_and_users_are_listed(
    odd: str, installed: None, berth: Run, release: list[str], access: list[str]
) -> None:
    assert berth("user", "add", "bob", "--password-stdin", *access, stdin="correct horse battery").code == 0
    assert berth("token", "create", "--user", "bob", *release).code == 0
    listed = berth("token", "list", "-o", "json", *release)
    assert [row["user"] for row in json.loads(listed.out)] == ["bob"], listed.err
    for kind in ("IssuedToken", "Account", "TokenRevocation"):
        assert f"left out: {kind} " in listed.err
    assert [row["user"] for row in json.loads(berth("user", "list", "-o", "json", *access).out)] == ["bob"]


@pytest.mark.parametrize("digits", [64, 12])
async def test_a_token_whose_record_cannot_be_read_can_be_revoked(
    odd: str, client: Client, namespaces: Namespaces, berth: Run, access: list[str], digits: int
) -> None:
    done = berth("token", "revoke", SHA[:digits], *access)
    assert done.code == 0, done.err
    assert (await client.get(TokenRevocation.api(), namespaces.access, SHA))["spec"]["sha256"] == SHA


async def test_an_uninstall_ends_and_frees_what_it_cannot_read(
    odd: str, client: Client, namespaces: Namespaces, uninstall_job: Run
) -> None:
    where = namespaces.workspaces
    stopped = uninstall_job()
    assert stopped.code == 1
    assert f"not ended within 1 s: instance {odd} of ada, lease of misty-1" in stopped.out
    assert (await client.get(Instance.api(), where, odd))["spec"]["terminate"]
    forced = uninstall_job(BERTH_UNINSTALL_FORCE="true")
    assert forced.code == 0, forced.out
    deployment: dict[str, Any] = await client.get(WorkspaceDeployment.api(), where, "misty-1")
    assert (deployment["status"].get("lease"), deployment["status"]["epoch"]) == (None, 1)
    left = await client.get(Instance.api(), where, odd)
    assert names.FENCE_FINALIZER not in left["metadata"].get("finalizers", [])
    assert (await client.list(lab.PODS, where))[0] == []
