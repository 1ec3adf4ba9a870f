"""Contract §5, "Access rules", the lockout: a deployment that takes no newcomers."""

import httpx
import pytest

from .conftest import user_client
from .process import Api
from .signing import Signer
from .world import World

pytestmark = pytest.mark.apiserver


async def test_a_lockout_refuses_newcomers_at_once_on_every_replica_and_can_be_repeated(
    world: World, second: Api, signer: Signer, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    deployment = await world.deployment(await world.type(), owners=["alice"])
    async with user_client(second, signer.token("alice")) as there:
        for here, elsewhere in ((alice, there), (there, alice)):
            await check(here, elsewhere, deployment)
    assert (await bob.post(f"/new/{deployment}")).status_code == 200


async def check(here: httpx.AsyncClient, elsewhere: httpx.AsyncClient, deployment: str) -> None:
    """Lock through one replica and look through the other, then unlock and look."""
    for _ in range(2):
        answer = await here.post(f"/deployment/{deployment}/lockout")
        assert (answer.status_code, answer.content) == (200, b"")
    assert (await elsewhere.get(f"/deployment/{deployment}")).json()["lockout"] is True
    refused = await elsewhere.post(f"/new/{deployment}")
    assert refused.status_code == 400
    assert "locked out" in refused.json()["error"]
    for _ in range(2):
        answer = await here.delete(f"/deployment/{deployment}/lockout")
        assert (answer.status_code, answer.content) == (200, b"")
    assert "lockout" not in (await elsewhere.get(f"/deployment/{deployment}")).json()


async def test_a_lockout_leaves_who_is_in(world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    deployment = await world.deployment(await world.type(), owners=["alice"])
    made = (await bob.post(f"/new/{deployment}")).json()["id"]
    before = await world.deployment_resource(deployment)
    assert (await alice.post(f"/deployment/{deployment}/lockout")).status_code == 200
    assert (await world.deployment_resource(deployment)).status.lease == before.status.lease
    assert (await bob.get(f"/instance/{made}")).json()["status"] == "INIT"
