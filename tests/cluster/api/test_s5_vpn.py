"""Contract §5, /vpn, before there are any VPNs: who may ask, and what the state is."""

import httpx
import pytest

from .conftest import made, user_client
from .process import Api
from .signing import Signer
from .world import World

pytestmark = pytest.mark.apiserver

NOTHING = "00000000-0000-4000-8000-000000000000"
BUSY = "This instance is busy. Try again later."
PREPARING = {"status": "preparing", "clients": []}


async def test_the_state_of_a_vpn_is_that_of_its_instance(world: World, alice: httpx.AsyncClient) -> None:
    kind = await world.type(deployments=2)
    with_vpn, without = await made(alice, kind, vpn=True), await made(alice, kind, vpn=False)
    assert (await alice.get(f"/vpn/{with_vpn}")).json() == PREPARING
    assert (await alice.get(f"/instance/{with_vpn}")).json()["vpn"] == PREPARING
    assert (await alice.get(f"/vpn/{without}")).json() == {"status": "nil"}
    assert "vpn" not in (await alice.get(f"/instance/{without}")).json()
    answer = await alice.post(f"/vpn/{with_vpn}")
    assert (answer.status_code, answer.json()) == (503, {"result_message": BUSY, "error_message": BUSY})
    answer = await alice.post(f"/vpn/{without}")
    assert answer.status_code == 400
    assert "no VPN" in answer.json()["error_message"]
    for instance in (with_vpn, without):
        answer = await alice.delete(f"/vpn/{instance}/client-1")
        assert (answer.status_code, answer.json()) == (404, {"error_message": "client not found"})
        await alice.post(f"/terminate/{instance}")
        for method, path in (("GET", ""), ("POST", ""), ("DELETE", "/client-1")):
            answer = await alice.request(method, f"/vpn/{instance}{path}")
            assert (answer.status_code, answer.json()) == (400, {"error_message": "instance not active"})
    assert "vpn" not in (await alice.get(f"/instance/{with_vpn}")).json()


async def test_who_may_ask(
    api: Api, signer: Signer, world: World, http: httpx.AsyncClient, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    instance = await made(alice, await world.type(deployments=1), vpn=True)
    routes = (("GET", f"/vpn/{instance}"), ("POST", f"/vpn/{instance}"), ("DELETE", f"/vpn/{instance}/client-1"))
    own = user_client(api, signer.token("alice", **{"in": instance}))
    elsewhere = user_client(api, signer.token("alice", **{"in": NOTHING}))
    reader = user_client(api, signer.token("alice", sc=["r"]))
    async with own, elsewhere, reader:
        for (method, path), status in zip(routes, (200, 503, 404), strict=True):
            assert (await own.request(method, path)).status_code == status
            answer = await bob.request(method, path)
            assert (answer.status_code, answer.json()) == (404, {"error_message": "instance not found"})
            text = "token already constrained to another instance"
            assert (await elsewhere.request(method, path)).json() == {"error_message": text}
            assert (await http.request(method, path)).json() == {"error_message": "wrong authorization token"}
            answer = await reader.request(method, path)
            if method == "GET":
                assert answer.json() == PREPARING
            else:
                text = "token scope does not permit change"
                assert (answer.status_code, answer.json()) == (400, {"error_message": text})


async def test_a_malformed_id_is_an_unrecognized_command(alice: httpx.AsyncClient) -> None:
    for path in ("/vpn/x/client", f"/vpn/{NOTHING}/-x", f"/vpn/{NOTHING}/", f"/vpn/{NOTHING}/a/b"):
        answer = await alice.delete(path)
        assert (answer.status_code, answer.json()) == (400, {"error_message": "unrecognized command"})
