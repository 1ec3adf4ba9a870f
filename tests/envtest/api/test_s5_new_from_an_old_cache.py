"""Contract §5, POST /new: a replica whose cache of deployments is old grants and refuses by what is so now."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from berth_api.launch.service import MOST_MISSED
from berth_core.resources import WorkspaceDeployment
from berth_dev.envtest.testing import looked_at, vanished

from .conftest import Setting, made, through_gateway
from .gateway import Gateway
from .signing import Signer
from .test_quotas import give_back
from .world import World

pytestmark = pytest.mark.apiserver

NAMES = ("taken", "returned", "busy", "locked", "closed", "noted", "deleted", "remade")


@dataclass(frozen=True)
class Old:
    """A replica that has seen its deployments when all were free, and nothing of them since."""

    alice: httpx.AsyncClient
    gateway: Gateway
    deployments: dict[str, str]
    types: dict[str, str]
    many: list[str]
    """Deployments of one type."""

    def asked_of_deployments(self) -> list[str]:
        """Methods of the requests for deployments since the last call."""
        asked = [line for line in self.gateway.asked if "/workspacedeployments" in line]
        self.gateway.asked.clear()
        return [line.partition(" ")[0] for line in asked]


@pytest_asyncio.fixture(scope="module")
async def old(setting: Setting, world: World, signer: Signer) -> AsyncIterator[Old]:
    types = {name: await world.type(access="closed" if name == "closed" else "open") for name in NAMES}
    deployments = {name: await world.deployment(kind, owners=["alice"]) for name, kind in types.items()}
    types["many"] = await world.type()
    many = [await world.deployment(types["many"]) for _ in range(MOST_MISSED + 2)]
    async with through_gateway(setting, signer, old="workspacedeployments") as (between, _, alice):
        yield Old(alice, between, deployments, types, many)


async def change(world: World, deployment: str, **body: Any) -> None:
    """Change a deployment in an administrator's place."""
    found = (await world.deployment_resource(deployment)).metadata
    await world.client.patch(WorkspaceDeployment.api(), found.namespace, found.name, body)


async def test_what_another_has_since_is_busy(old: Old, world: World, bob: httpx.AsyncClient) -> None:
    deployment = old.deployments["taken"]
    instance = await made(bob, deployment)
    old.asked_of_deployments()
    answer = await old.alice.post(f"/new/{deployment}")
    assert (answer.status_code, "busy" in answer.text) == (503, True), answer.text
    asked = old.asked_of_deployments()
    assert asked[0] == "PATCH", "it takes the cached version for the present one"
    assert asked[1:], "it is not called busy without a live read"
    assert set(asked[1:]) == {"GET"}
    status = (await world.deployment_resource(deployment)).status
    assert status.lease is not None
    assert (status.lease.instance, status.epoch) == (instance, 1)
    assert (await old.alice.post(f"/new/{deployment}", json={"reserve": True})).json()["success"] is False


async def test_what_another_has_had_since_is_granted_under_the_next_epoch(
    old: Old, world: World, bob: httpx.AsyncClient
) -> None:
    deployment = old.deployments["returned"]
    await give_back(world, await made(bob, deployment))
    instance = await made(old.alice, deployment)
    resource = await world.instance_resource(instance)
    assert resource.spec.claim is not None
    status = (await world.deployment_resource(deployment)).status
    assert status.lease is not None
    assert (status.lease.instance, status.epoch, resource.spec.claim.epoch) == (instance, 2, 2)


async def test_another_of_the_type_is_granted_where_the_first_was_taken(
    old: Old, world: World, bob: httpx.AsyncClient
) -> None:
    kind = old.types["busy"]
    await made(bob, old.deployments["busy"])
    other = await world.deployment(kind)  # the cache does not know it
    instance = await made(old.alice, kind)
    assert (await old.alice.get(f"/instance/{instance}")).json()["deployment"] == other


async def test_few_are_tried_in_vain_before_all_are_read_live(old: Old, world: World, bob: httpx.AsyncClient) -> None:
    for deployment in old.many:
        await made(bob, deployment)
    old.asked_of_deployments()
    assert (await old.alice.post(f"/new/{old.types['many']}")).status_code == 503
    assert old.asked_of_deployments().count("PATCH") == MOST_MISSED


async def test_what_was_locked_since_is_refused_as_locked(old: Old, world: World) -> None:
    deployment = old.deployments["locked"]
    await change(world, deployment, spec={"lockout": True})
    answer = await old.alice.post(f"/new/{deployment}")
    assert (answer.status_code, "locked out" in answer.text) == (400, True), answer.text


async def test_who_owns_it_no_more_does_not_get_it(old: Old, world: World) -> None:
    deployment = old.deployments["closed"]
    await change(world, deployment, spec={"owners": ["bob"]})
    answer = await old.alice.post(f"/new/{deployment}")
    assert (answer.status_code, "access rules" in answer.text) == (403, True), answer.text
    assert (await world.deployment_resource(deployment)).status.lease is None


async def test_a_change_that_matters_to_nobody_is_read_and_kept(old: Old, world: World) -> None:
    deployment = old.deployments["noted"]
    await change(world, deployment, spec={"description": "the one at the window"})
    old.asked_of_deployments()
    await made(old.alice, deployment)
    assert old.asked_of_deployments() == ["PATCH", "GET", "PATCH"]
    resource = await world.deployment_resource(deployment)
    assert resource.spec.description == "the one at the window"
    assert resource.status.epoch == 1


async def test_what_was_deleted_since_is_not_found(old: Old, world: World) -> None:
    found = (await world.deployment_resource(old.deployments["deleted"])).metadata
    await vanished(world.client, found.namespace, found.name)
    assert (await old.alice.post(f"/new/{old.deployments['deleted']}")).status_code == 404


async def test_one_made_again_with_another_type_is_lent_by_that_types_rules(old: Old, world: World) -> None:
    found = (await world.deployment_resource(old.deployments["remade"])).metadata
    await vanished(world.client, found.namespace, found.name)
    closed = await world.type(access="closed")
    body = {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "WorkspaceDeployment",
        "metadata": {"name": found.name, "namespace": found.namespace},
        "spec": {"type": closed},
    }
    await looked_at(world.client, await world.client.create(WorkspaceDeployment.api(), found.namespace, body))
    answer = await old.alice.post(f"/new/{old.deployments['remade']}")
    assert answer.status_code == 403, answer.text
    assert (await world.deployment_resource(old.deployments["remade"])).status.lease is None
