"""Contract §5, GET /queuelen/:id."""

import httpx
import pytest

from .world import World, eventually

pytestmark = pytest.mark.apiserver

NOTHING = "00000000-0000-4000-8000-000000000000"


async def test_the_queue_counts_reservations_that_apply(
    world: World, http: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    kind = await world.type()
    one, two = await world.deployment(kind), await world.deployment(kind)
    name = (await world.deployment_resource(one)).metadata.name

    async def lengths() -> list[int]:
        return [(await http.get(f"/queuelen/{wd}")).json()["len"] for wd in (one, two)]

    async def has(expected: list[int]) -> None:
        async def holds() -> bool:
            return await lengths() == expected

        await eventually(holds)

    await has([0, 0])
    await alice.post(f"/new/{one}")
    assert await lengths() == [1, 0]
    await world.wait_in_queue("bob", workspaceType=kind)
    await has([2, 2])
    await world.wait_in_queue("carol", deployments=[name])
    await has([3, 2])
    assert (await http.get(f"/queuelen/{one}")).json() == {"id": one, "len": 3}
    assert (await http.get(f"/deployment/{one}")).json()["queuelen"] == 3
    assert (await http.get(f"/deployments/{kind}?maxlen=2")).json()["workspace_deployments"] == [two]
    # A queue keeps the next one who comes waiting, though nobody has it.
    assert (await http.get(f"/deployment/{two}")).json()["queuelen"] == 2


async def test_an_unknown_deployment_is_404(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"/queuelen/{NOTHING}")
    assert answer.status_code == 404
    assert answer.json() == {"error_message": "no workspace deployment found with given ID"}
