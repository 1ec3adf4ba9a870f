"""Contract §5, GET /qlen: how long one waits for what one may have."""

import httpx
import pytest

from .conftest import user_client
from .process import Api
from .signing import Signer
from .world import World, eventually

pytestmark = pytest.mark.apiserver

NOTHING = "00000000-0000-4000-8000-000000000000"
FREE = {"qlen": 0, "rem": None}


async def comes_about(client: httpx.AsyncClient, path: str, expected: object) -> None:
    async def holds() -> bool:
        return bool((await client.get(path)).json() == expected)

    await eventually(holds)


async def test_queues_of_a_type_and_of_a_list(world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    kind, other = await world.type(), await world.type()
    one, two, three = await world.deployment(kind), await world.deployment(kind), await world.deployment(other)
    assert (await bob.get(f"/qlen/{kind}")).json() == {one: FREE, two: FREE}
    assert (await bob.get(f"/qlen?wds={one},{three}")).json() == {one: FREE, three: FREE}
    assert (await bob.get(f"/qlen?wds={one.upper()}, {one},")).json() == {one: FREE}
    instance = (await alice.post(f"/new/{one}")).json()["id"]
    # Before readiness nobody knows when it will end.
    await comes_about(bob, f"/qlen/{kind}", {one: {"qlen": 1, "rem": None}, two: FREE})
    await world.wait_in_queue("bob", workspaceType=kind)
    await comes_about(bob, f"/qlen/{kind}", {one: {"qlen": 2, "rem": None}, two: {"qlen": 2, "rem": None}})
    await world.make_ready(instance, lasts=1001)

    async def remaining() -> bool:
        left = (await bob.get(f"/qlen/{kind}")).json()[one]["rem"]
        return left is not None and 980 < left <= 1000

    await eventually(remaining)
    await world.as_operator(instance, expireTime="2026-01-01T00:00:00Z")
    await comes_about(bob, f"/qlen?wds={one}", {one: {"qlen": 2, "rem": 0}})


async def test_only_what_the_caller_may_instantiate_is_shown(
    api: Api, signer: Signer, world: World, alice: httpx.AsyncClient, root: httpx.AsyncClient
) -> None:
    closed, kind = await world.type(access="closed"), await world.type()
    theirs = await world.deployment(closed)
    own = await world.deployment(closed, owners=["alice"])
    gone, there = await world.deployment(kind, dissolved="2026-01-01T00:00:00Z"), await world.deployment(kind)
    assert (await alice.get(f"/qlen/{closed}")).json() == {own: FREE}
    assert (await root.get(f"/qlen/{closed}")).json() == {own: FREE, theirs: FREE}
    assert (await alice.get(f"/qlen?wds={theirs},{own},{gone},{there}")).json() == {own: FREE, there: FREE}
    async with user_client(api, signer.token("alice", wt=[closed])) as limited:
        assert (await limited.get(f"/qlen/{kind}")).json() == {}
        assert (await limited.get(f"/qlen?wds={own},{there}")).json() == {own: FREE}


async def test_what_is_wrong_or_unknown(
    api: Api, signer: Signer, world: World, http: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    empty = await world.type()
    known = await world.deployment(await world.type())
    assert (await alice.get(f"/qlen/{empty}")).json() == {}
    for path, status, text in (
        ("/qlen", 400, "`wds` is required"),
        ("/qlen?wds=", 400, "`wds` is required"),
        ("/qlen?wds=,%20,", 400, "`wds` is required"),
        ("/qlen?wds=" + ",".join(f"{n:08x}{NOTHING[8:]}" for n in range(257)), 400, "at most 256"),
        (f"/qlen?wds={known},{NOTHING}", 404, "no workspace deployment found with given ID"),
        ("/qlen?wds=x", 404, "no workspace deployment found with given ID"),
        ("/qlen/no_such_type", 404, "no workspace type found with given name"),
        ("/qlen/no-type", 400, "unrecognized command"),
    ):
        answer = await alice.get(path)
        assert answer.status_code == status, path
        assert text in answer.json()["error_message"], path
    assert (await http.get(f"/qlen/{empty}")).json() == {"error_message": "wrong authorization token"}
    async with user_client(api, signer.token("alice", **{"in": NOTHING})) as constrained:
        for path in (f"/qlen/{empty}", f"/qlen?wds={known}"):
            answer = await constrained.get(path)
            assert answer.status_code == 400
            assert answer.json() == {"error_message": "token already constrained to another instance"}
