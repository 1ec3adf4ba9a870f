"""An object that an earlier schema let in and that no model takes fails no request about others."""

import hashlib
import uuid
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from loosening import loosened

from berth_core.kube.connection import connected
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
from berth_dev.envtest.apiserver import ApiServer

from . import process
from .conftest import TIMEOUT, Setting, made, make_setting, user_client
from .process import Api
from .signing import Signer
from .world import World, eventually

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def setting(own_apiserver: ApiServer, signer: Signer, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """A server that nobody else uses, since its CRDs change."""
    return make_setting(own_apiserver, signer, tmp_path_factory.mktemp("unreadable"))


@pytest.fixture(scope="module")
def api(setting: Setting) -> Iterator[Api]:
    with process.running(setting.environment(), setting.folder / "api.log") as running:
        yield running


@pytest.fixture(scope="module")
async def world(setting: Setting, api: Api) -> AsyncIterator[World]:
    async with connected("tests", str(setting.server.kubeconfig)) as client:
        async with httpx.AsyncClient(base_url=api.url, timeout=TIMEOUT) as http:
            yield World(client, setting.namespaces, http)


@pytest.fixture
async def alice(api: Api, signer: Signer) -> AsyncIterator[httpx.AsyncClient]:
    async with user_client(api, signer.token("alice")) as client:
        yield client


@pytest.fixture
async def bob(api: Api, signer: Signer) -> AsyncIterator[httpx.AsyncClient]:
    async with user_client(api, signer.token("bob")) as client:
        yield client


@pytest.fixture
async def root(api: Api, signer: Signer) -> AsyncIterator[httpx.AsyncClient]:
    async with user_client(api, signer.token("root", su=True)) as client:
        yield client


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
            await _store(world, kind, spec)
    yield name
    for kind in odd:
        await world.client.delete(kind.api(), world.namespaces.workspaces, "odd")


async def _store(
    world: World, kind: type[Resource], spec: Object, name: str = "odd", namespace: str | None = None
) -> None:
    body = {"apiVersion": API_VERSION, "kind": kind.KIND, "metadata": {"name": name}, "spec": spec}
    await world.client.create(kind.api(), namespace or world.namespaces.workspaces, body)


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
        await _store(world, AccessRule, spec, "odd-rule")

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
        await _store(world, IssuedToken, spec, sha256, world.namespaces.access)
    answer = await root.post(f"/revoke/{sha256}")
    assert answer.status_code == 200, answer.text
    made = await world.client.get(TokenRevocation.api(), world.namespaces.access, sha256)
    assert made["spec"]["sha256"] == sha256
