"""Contract §5, GET /workspaces."""

import httpx
import pytest

from berth_core.resources import WorkspaceType

from .world import World, eventually

pytestmark = pytest.mark.apiserver

DISSOLVED = "2026-01-01T00:00:00Z"


async def test_workspaces_lists_types_whether_or_not_there_are_deployments(
    world: World, http: httpx.AsyncClient
) -> None:
    empty, lent = await world.type(), await world.type(deployments=1)
    retired = await world.type(retired=True)
    listed = (await http.get("/workspaces")).json()["workspace_types"]
    assert listed == sorted(listed)
    assert {empty, lent} <= set(listed)
    assert retired not in listed
    for flag in ("with_dissolved", "with_dissolved=1", "with_dissolved=yes"):
        assert retired in (await http.get(f"/workspaces?{flag}")).json()["workspace_types"]
    for flag in ("with_dissolved=0", "with_dissolved=f", "with_dissolved=False"):
        assert retired not in (await http.get(f"/workspaces?{flag}")).json()["workspace_types"]


async def test_a_type_that_is_gone_is_known_by_its_dissolved_deployments_only(
    world: World, http: httpx.AsyncClient
) -> None:
    kind = await world.type()
    await world.deployment(kind, dissolved=DISSOLVED)
    await world.client.delete(WorkspaceType.api(), world.namespaces.workspaces, kind.replace("_", "-"))

    async def forgotten() -> bool:
        return kind not in (await http.get("/workspaces")).json()["workspace_types"]

    await eventually(forgotten)
    assert kind in (await http.get("/workspaces?with_dissolved")).json()["workspace_types"]
