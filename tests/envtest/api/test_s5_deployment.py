"""Contract §5, GET /deployment/:id."""

import httpx
import pytest

from berth_core.resources import WorkspaceDeployment

from .world import World

pytestmark = pytest.mark.apiserver

NOTHING = "00000000-0000-4000-8000-000000000000"
SILENT = "2026-01-01T00:00:00Z"


async def test_a_deployment_shows_what_applies(
    world: World, http: httpx.AsyncClient, alice: httpx.AsyncClient, bob: httpx.AsyncClient, root: httpx.AsyncClient
) -> None:
    kind = await world.type()
    deployment = await world.deployment(kind, description="Left arm", heartbeat="node")
    fields = {"id", "type", "type_version", "supported_addons", "desc", "region"}
    fields |= {"icounter", "created", "queuelen", "online"}
    shown = (await http.get(f"/deployment/{deployment}")).json()
    assert shown.keys() == fields
    instance = (await alice.post(f"/new/{deployment}")).json()["id"]
    assert (await alice.get(f"/deployment/{deployment}")).json()["instance"] == instance
    assert "instance" not in (await bob.get(f"/deployment/{deployment}")).json()
    await world.silence(deployment, since=SILENT)
    wd = (await world.deployment_resource(deployment)).metadata
    await world.client.patch(WorkspaceDeployment.api(), wd.namespace, wd.name, {"spec": {"lockout": True}})
    shown = (await root.get(f"/deployment/{deployment}")).json()
    assert shown["offline"] == ""
    public = (await http.get(f"/deployment/{deployment}")).json()
    assert public["offline"] == f"Silent since {SILENT}", "the operator's sentence is for owners: it names addresses"
    assert (shown["online"], shown["lockout"], shown["heartbeat"], shown["queuelen"]) == (False, True, SILENT, 1)
    assert "heartbeat" not in (await alice.get(f"/deployment/{deployment}")).json()
    await alice.post(f"/terminate/{instance}")
    assert "instance" not in (await alice.get(f"/deployment/{deployment}")).json()


async def test_an_unknown_deployment_is_404(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"/deployment/{NOTHING}")
    assert answer.status_code == 404
    assert answer.json() == {"error_message": "no workspace deployment found with given ID"}
