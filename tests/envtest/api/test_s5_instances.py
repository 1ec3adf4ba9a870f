"""Contract §5, GET /instances. States beyond INIT are written here in the operator's place."""

import httpx
import pytest

from .conftest import made, user_client
from .process import Api
from .signing import Signer
from .world import World

pytestmark = pytest.mark.apiserver


async def test_lists_are_the_callers_and_active_by_default(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient, root: httpx.AsyncClient
) -> None:
    kind = await world.type(deployments=4)
    running, ending, failed = [await made(alice, kind) for _ in range(3)]
    other = await made(bob, kind)
    await alice.post(f"/terminate/{ending}")
    await world.as_operator(failed, reason="StartFailed")
    for client, query, expected in (
        (alice, "", {running}),
        (alice, "include_terminated", {running, ending}),
        (alice, "include_terminated=false", {running, ending}),
        (alice, "include_init_fail", {running, failed}),
        (alice, "include_init_fail&include_terminated", {running, ending, failed}),
        (alice, "user=bob", {running}),
        (bob, "", {other}),
        (root, "", {running, other}),
        (root, "user=bob", {other}),
        (root, "user=nobody", set()),
    ):
        answer = (await client.get(f"/instances/{kind}?{query}")).json()
        assert set(answer["workspace_instances"]) == expected, query
        assert len(answer["workspace_deployments"]) == len(expected)
        assert answer["page_count"] == 1
    assert running in (await alice.get("/instances")).json()["workspace_instances"]
    assert (await alice.get("/instances/another_type")).json()["workspace_instances"] == []


async def test_starts_are_compared_as_times(world: World, alice: httpx.AsyncClient) -> None:
    kind = await world.type(deployments=3)
    starts = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.250000Z", "2026-01-01T00:00:01Z")
    instances = [await made(alice, kind) for _ in starts]
    for instance, start in zip(instances, starts, strict=True):
        await world.bind(instance)
        await world.as_operator(instance, startTime=start)
    answer = (await alice.get(f"/instances/{kind}?sort_by=inc_start_date")).json()
    assert answer["workspace_instances"] == instances
    for odd in ("", "sort_by=nonsense", "sort_by=dec_start_date"):
        assert (await alice.get(f"/instances/{kind}?{odd}")).json()["workspace_instances"] == instances[::-1]
    for query, items, count in (
        ("max_per_page=0", instances[::-1], 1),
        ("max_per_page=2", instances[:0:-1], 2),
        ("max_per_page=2&page=2", instances[:1], 2),
        ("max_per_page=2&page=99", instances[:1], 2),
        ("max_per_page=2&page=x", instances[:0:-1], 2),
        ("max_per_page=x", instances[::-1], 1),
    ):
        answer = (await alice.get(f"/instances/{kind}?{query}")).json()
        assert (answer["workspace_instances"], answer["page_count"]) == (items, count), query


async def test_lists_are_parallel_sorted_and_paged(world: World, alice: httpx.AsyncClient) -> None:
    kind = await world.type()
    deployments = [await world.deployment(kind) for _ in range(3)]
    instances = [await made(alice, deployment) for deployment in deployments]
    for number, instance in enumerate(instances):
        await world.bind(instance)
        await world.as_operator(instance, startTime=f"2026-01-01T00:00:0{number}Z")
    answer = (await alice.get(f"/instances/{kind}")).json()
    assert answer["workspace_instances"] == instances[::-1]
    assert answer["workspace_deployments"] == deployments[::-1]
    answer = (await alice.get(f"/instances/{kind}?sort_by=inc_start_date&max_per_page=2&page=2&details")).json()
    assert answer["page_count"] == 2
    assert answer["workspace_instances"] == [
        {
            "id": instances[2],
            "status": "INIT",
            "deployment": deployments[2],
            "type": kind,
            "region": "",
            "starttime": "2026-01-01T00:00:02Z",
            "rootuser": "root",
            "endtime": None,
        }
    ]
    assert answer["workspace_deployments"] == [deployments[2]]


@pytest.mark.parametrize("user", ["zoë 漢字", "a,spec.user=alice", "a=b\\c", "!x", " spaced ", "x/y:z", "é" * 200])
async def test_users_of_any_name_have_what_is_theirs(
    world: World, api: Api, signer: Signer, root: httpx.AsyncClient, user: str
) -> None:
    kind = await world.type(deployments=1)
    async with user_client(api, signer.token(user)) as odd:
        instance = await made(odd, kind)
        place = (await odd.post(f"/new/{kind}", json={"reserve": True})).json()["id"]
        shown = (await odd.get("/reservations")).json()["reservations"]
        assert [(r["id"], r["user"]) for r in shown] == [(place, user)]
        assert (await odd.get("/instances")).json()["workspace_instances"] == [instance]
        assert (await root.get("/instances", params={"user": user})).json()["workspace_instances"] == [instance]
        assert (await odd.get("/rules", params={"to_user": user})).json() == {"rules": []}
        assert (await odd.delete(f"/reservation/{place}")).status_code == 200
        assert (await odd.post(f"/terminate/{instance}")).status_code == 200
