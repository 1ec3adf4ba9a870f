"""An object that an earlier schema let in and that no model takes fails no request about others."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator

import httpx
import pytest
from loosening import loosened

from berth_core.kube.errors import InvalidError
from berth_core.kube.types import Object
from berth_core.names import API_VERSION
from berth_core.resources import (
    AccessRule,
    Instance,
    IssuedToken,
    Reservation,
    Resource,
    TokenRevocation,
    WorkspaceDeployment,
)

from .conftest import Setting, made
from .world import World, eventually

pytestmark = pytest.mark.apiserver


@pytest.fixture
async def type_name(world: World, setting: Setting) -> AsyncIterator[str]:
    """A type with two deployments, and an object of each of some kinds that nobody can read."""
    name = await world.type(deployments=2)
    wish = {"user": "ada", "workspaceType": name}
    odd: dict[type[Resource], Object] = {
        Reservation: {"user": "ada", "workspaceType": name, "priority": 2000, "instance": wish},
        Instance: wish | {"requesterAddress": "x" * 60},
        WorkspaceDeployment: {"type": name, "heartbeat": "sometimes"},
        AccessRule: {"deployment": "none", "user": "bob", "capability": "CAP_ODD", "ruleID": 1},
    }
    with loosened(setting.server, *(kind.PLURAL for kind in odd)):
        for kind, spec in odd.items():
            await asyncio.wait_for(_store(world, kind, spec), 120)
    yield name
    for kind in odd:
        await world.client.delete(kind.api(), world.namespaces.workspaces, "odd")


async def _store(
    world: World, kind: type[Resource], spec: Object, name: str = "odd", namespace: str | None = None
) -> None:
    body = {"apiVersion": API_VERSION, "kind": kind.KIND, "metadata": {"name": name}, "spec": spec}
    while True:
        try:
            await world.client.create(kind.api(), namespace or world.namespaces.workspaces, body)
        except InvalidError:
            await asyncio.sleep(0.1)  # it takes some moments until the API server has heard of the looser schema
        else:
            return


async def test_others_are_served(
    world: World, type_name: str, alice: httpx.AsyncClient, root: httpx.AsyncClient
) -> None:
    instance = await made(alice, type_name)
    for client in (alice, root):
        listed = await client.get("/instances")
        assert listed.status_code == 200, listed.text
        assert instance in listed.text
        assert (await client.get("/reservations")).status_code == 200
    assert (await root.get(f"/deployments/{type_name}")).status_code == 200


async def test_a_rule_that_cannot_be_read_forbids_its_user_only(
    world: World, setting: Setting, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    name = await world.type(deployments=1)
    listed, _ = await world.client.list(
        WorkspaceDeployment.api(), world.namespaces.workspaces, fields={"spec.type": name}
    )
    (deployment,) = (obj["metadata"]["name"] for obj in listed)
    with loosened(setting.server, AccessRule.PLURAL):
        spec = {"deployment": deployment, "user": "bob", "capability": "CAP_ODD", "ruleID": 1}
        await asyncio.wait_for(_store(world, AccessRule, spec, "odd-rule"), 120)

    async def refuses() -> bool:
        return (await bob.post(f"/new/{name}", json={})).status_code == 403

    await eventually(refuses)
    await made(alice, name)


async def test_a_token_whose_record_cannot_be_read_can_be_revoked(
    world: World, setting: Setting, root: httpx.AsyncClient
) -> None:
    sha256 = hashlib.sha256(uuid.uuid4().bytes).hexdigest()
    spec = {"sha256": sha256, "user": "ada", "issued": "2026-02-01 01:00:00Z", "expires": "2100-01-01T00:00:00Z"}
    with loosened(setting.server, IssuedToken.PLURAL):
        await asyncio.wait_for(_store(world, IssuedToken, spec, sha256, world.namespaces.access), 120)
    answer = await root.post(f"/revoke/{sha256}")
    assert answer.status_code == 200, answer.text
    made = await world.client.get(TokenRevocation.api(), world.namespaces.access, sha256)
    assert made["spec"]["sha256"] == sha256
