"""Contract §5, /vpn. The operator is played: what it signs is in tests/envtest/operator and tests/e2e."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from promised import promised

from berth_core.kube.errors import NotFoundError
from berth_core.kube.types import Kind
from berth_core.resources import VPNClient

from .book import Book, fresh
from .conftest import made, user_client
from .process import Api
from .signing import Signer
from .world import LATER, World

pytestmark = pytest.mark.apiserver

NOTHING = "00000000-0000-4000-8000-000000000000"
BUSY = "This instance is busy. Try again later."
PREPARING = {"status": "preparing", "clients": []}
SECRETS = Kind("v1", "secrets")


async def sign(world: World, client: VPNClient) -> None:
    """Do what the operator does with a new client."""
    access, uid = world.namespaces.access, client.metadata.uid
    data = {"profile.ovpn": base64.b64encode(f"profile of {uid}".encode()).decode()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"v-{uid}"}, "data": data}
    await world.client.create(SECRETS, access, secret)
    ready = {"type": "Ready", "status": "True", "reason": "Signed", "message": "", "lastTransitionTime": LATER}
    status = {"clientID": uid, "secretRef": {"namespace": access, "name": f"v-{uid}"}, "conditions": [ready]}
    metadata = client.metadata
    await world.client.patch(
        VPNClient.api(), metadata.namespace, metadata.name, {"status": status}, subresource="status"
    )


@asynccontextmanager
async def signing(world: World) -> AsyncIterator[None]:
    """Sign every client that is made."""
    namespace = world.namespaces.workspaces
    _, version = await world.client.list(VPNClient.api(), namespace)

    async def run() -> None:
        async for event in world.client.watch(VPNClient.api(), namespace, version):
            if event.type == "ADDED":
                await sign(world, VPNClient.parse(event.object))

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def serving(world: World, client: httpx.AsyncClient) -> str:
    """An instance whose VPN serves; its id."""
    instance = await made(client, await world.type(deployments=1), vpn=True)
    await world.make_ready(instance)
    await world.as_operator(instance, conditions={"VPNReady": "True"})
    return instance


async def clients_of(world: World, instance: str) -> list[VPNClient]:
    fields = {"spec.instance": instance}
    objects, _ = await world.client.list(VPNClient.api(), world.namespaces.workspaces, fields=fields)
    return [VPNClient.parse(obj) for obj in objects]


@pytest.mark.alone
async def test_clients_are_made_listed_and_revoked(world: World, alice: httpx.AsyncClient) -> None:
    instance = await serving(world, alice)
    assert (await alice.get(f"/vpn/{instance}")).json() == {"status": "ready", "clients": ["workspace"]}
    async with signing(world):
        answers = await asyncio.gather(*(alice.post(f"/vpn/{instance}") for _ in range(3)))
    assert {answer.status_code for answer in answers} == {200}
    ids = [answer.json()["client_id"] for answer in answers]
    assert [answer.json() for answer in answers] == [{"client_id": i, "ovpn": f"profile of {i}"} for i in ids]
    shown = (await alice.get(f"/vpn/{instance}")).json()["clients"]
    assert shown[0] == "workspace"
    assert sorted(shown[1:]) == sorted(ids)
    assert (await alice.get(f"/instance/{instance}")).json()["vpn"] == {"status": "ready", "clients": shown}

    assert (await alice.delete(f"/vpn/{instance}/{ids[1]}")).status_code == 200
    assert (await alice.get(f"/vpn/{instance}")).json()["clients"] == [one for one in shown if one != ids[1]]
    again = await alice.delete(f"/vpn/{instance}/{ids[1]}")
    assert (again.status_code, again.json()) == (404, {"error_message": "client not found"})
    refused = await alice.delete(f"/vpn/{instance}/workspace")
    assert refused.status_code == 400
    assert "cannot be revoked" in refused.json()["error_message"]
    (left, other) = await clients_of(world, instance)
    assert left.metadata.owner_references[0].name == other.metadata.owner_references[0].name == instance


@pytest.mark.alone
async def test_one_that_is_not_signed_in_time_is_busy_and_leaves_nothing(
    world: World, alice: httpx.AsyncClient
) -> None:
    instance = await serving(world, alice)
    answer = await alice.post(f"/vpn/{instance}")
    assert (answer.status_code, answer.json()) == (503, {"result_message": BUSY, "error_message": BUSY})
    assert 2.9 <= answer.elapsed.total_seconds() <= 3 + promised(2)
    assert await clients_of(world, instance) == []


@pytest.mark.alone
async def test_one_that_the_operator_refuses_is_refused_with_its_words(world: World, alice: httpx.AsyncClient) -> None:
    instance = await serving(world, alice)
    asking = asyncio.create_task(alice.post(f"/vpn/{instance}"))
    namespace, fields = world.namespaces.workspaces, {"spec.instance": instance}
    async for event in world.client.watch(VPNClient.api(), namespace, "0", fields=fields):
        if event.type == "ADDED":
            refusal = {"type": "Ready", "status": "False", "reason": "TooMany", "message": "a VPN signs at most"}
            status = {"conditions": [refusal | {"lastTransitionTime": LATER}]}
            name = event.object["metadata"]["name"]
            await world.client.patch(VPNClient.api(), namespace, name, {"status": status}, subresource="status")
            break
    answer = await asking
    assert (answer.status_code, answer.json()) == (400, {"error_message": "a VPN signs at most"})
    assert await clients_of(world, instance) == []


@pytest.mark.alone
async def test_a_repeat_gets_the_same_profile_and_no_record_holds_it(world: World, alice: httpx.AsyncClient) -> None:
    instance, key = await serving(world, alice), fresh()
    busy = await alice.post(f"/vpn/{instance}", headers=key)
    assert busy.status_code == 503
    (waiting,) = await clients_of(world, instance)
    await sign(world, waiting)
    first = await alice.post(f"/vpn/{instance}", headers=key)
    uid = waiting.metadata.uid
    assert first.json() == {"client_id": uid, "ovpn": f"profile of {uid}"}
    second = await alice.post(f"/vpn/{instance}", headers=key)
    assert (second.json(), second.headers["Idempotency-Replayed"]) == (first.json(), "true")
    assert [client.metadata.uid for client in await clients_of(world, instance)] == [uid]
    record = await Book(world).fields(key)
    assert "profile" not in base64.b64decode(record["answer"]["body"]).decode()
    await world.client.delete(SECRETS, world.namespaces.access, f"v-{uid}")
    assert (await alice.post(f"/vpn/{instance}", headers=key)).json() == {"client_id": uid}
    with pytest.raises(NotFoundError):
        await world.client.get(SECRETS, world.namespaces.access, f"v-{uid}")


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
