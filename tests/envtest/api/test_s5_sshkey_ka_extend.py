"""Contract §5, GET /instance/:id/sshkey, POST …/ka and …/extend, with a second replica beside the first.

Readiness is written in the operator's place.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import pytest_asyncio

from berth_core import names
from berth_core.kube.model import parse_time, timestamp
from berth_core.kube.types import LEASES, Object

from .conftest import Setting, made, through_gateway, user_client
from .process import Api
from .signing import Signer
from .world import World, eventually

pytestmark = pytest.mark.apiserver

NOTHING = "00000000-0000-4000-8000-000000000000"
MISSING = {"error_message": "instance not found"}
INACTIVE = {"error_message": "instance not active"}
ELSEWHERE = {"error_message": "token already constrained to another instance"}
READ_ONLY = {"error_message": "token scope does not permit change"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def alice_there(second: Api, signer: Signer) -> AsyncIterator[httpx.AsyncClient]:
    async with user_client(second, signer.token("alice")) as client:
        yield client


async def lease_of(world: World, instance: str) -> Object:
    return await world.client.get(LEASES, world.namespaces.workspaces, names.keep_alive_lease(instance))


async def test_the_private_key_is_for_as_long_as_the_instance(world: World, alice: httpx.AsyncClient) -> None:
    kind = await world.type(deployments=2)
    instance = await made(alice, kind)
    assert (await alice.get(f"/instance/{instance}/sshkey")).status_code == 200
    await alice.post(f"/terminate/{instance}")
    answer = await alice.get(f"/instance/{instance}/sshkey")
    assert (answer.status_code, answer.json()) == (400, {"error_message": "instance not active"})
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"
    brought = (await alice.post(f"/new/{kind}", json={"sshkey": key})).json()["id"]
    assert (await alice.get(f"/instance/{brought}/sshkey")).status_code == 404


async def test_a_ping_renews_a_lease_that_goes_with_the_instance(
    world: World, alice: httpx.AsyncClient, alice_there: httpx.AsyncClient
) -> None:
    instance = await made(alice, await world.type(deployments=1), keepalive=True)
    before = datetime.now(UTC)
    answer = await alice.post(f"/instance/{instance}/ka")
    assert (answer.status_code, answer.content) == (200, b"")
    lease = await lease_of(world, instance)
    metadata = lease["metadata"]
    assert metadata["labels"][names.INSTANCE_LABEL] == instance
    (owner,) = metadata["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("Instance", (await world.instance_resource(instance)).metadata.uid)
    assert "blockOwnerDeletion" not in owner
    assert before <= parse_time(lease["spec"]["renewTime"]) <= datetime.now(UTC)
    # Within a few seconds one renewal is enough for a replica; another one knows nothing of it.
    assert (await alice.post(f"/instance/{instance}/ka")).status_code == 200
    assert (await lease_of(world, instance))["metadata"]["resourceVersion"] == metadata["resourceVersion"]
    assert (await alice_there.post(f"/instance/{instance}/ka")).status_code == 200
    renewed = await lease_of(world, instance)
    assert parse_time(renewed["spec"]["renewTime"]) > parse_time(lease["spec"]["renewTime"])
    assert renewed["metadata"]["uid"] == metadata["uid"]


async def test_a_ping_whose_write_comes_late_takes_no_later_one_back(
    setting: Setting, world: World, signer: Signer, alice: httpx.AsyncClient
) -> None:
    instance = await made(alice, await world.type(deployments=1), keepalive=True)
    assert (await alice.post(f"/instance/{instance}/ka")).status_code == 200
    name, later = names.keep_alive_lease(instance), {"spec": {"renewTime": "2126-01-01T00:00:00.000000Z"}}
    async with through_gateway(setting, signer) as (between, _, client):

        async def ping_elsewhere() -> None:
            await world.client.patch(LEASES, world.namespaces.workspaces, name, later)

        async with between.after(lambda method, path: method == "GET" and path.endswith(name), ping_elsewhere):
            assert (await client.post(f"/instance/{instance}/ka")).status_code == 200
    assert (await lease_of(world, instance))["spec"]["renewTime"] == later["spec"]["renewTime"]


async def test_who_may_ping(
    api: Api, signer: Signer, world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    kind = await world.type(deployments=2)
    instance, plain = await made(alice, kind, keepalive=True), await made(alice, kind)
    path = f"/instance/{instance}/ka"
    assert (await bob.post(path)).json() == MISSING
    assert (await alice.post(f"/instance/{NOTHING}/ka")).json() == MISSING
    assert (await http.post(path)).json() == {"error_message": "wrong authorization token"}
    answer = await alice.post(f"/instance/{plain}/ka")
    assert answer.status_code == 404
    assert "keep-alive was not asked for" in answer.json()["error_message"]
    for claims, expected in (({"in": instance}, None), ({"in": plain}, ELSEWHERE), ({"sc": ["r"]}, READ_ONLY)):
        async with user_client(api, signer.token("alice", **claims)) as client:
            answer = await client.post(path)
        assert answer.status_code == (400 if expected else 200)
        assert expected is None or answer.json() == expected
    await alice.post(f"/terminate/{instance}")
    answer = await alice.post(path)
    assert (answer.status_code, answer.json()) == (400, INACTIVE)


async def test_pings_are_not_refused_while_the_cluster_is_away(away: Api, signer: Signer) -> None:
    for token, status in (
        (signer.token("alice"), 200),
        (signer.token("alice", **{"in": NOTHING}), 200),
        (signer.token("alice", **{"in": NOTHING[:-1] + "1"}), 400),
        (signer.token("alice", sc=["r"]), 400),
        (Signer().token("alice"), 400),
    ):
        async with user_client(away, token) as client:
            assert (await client.post(f"/instance/{NOTHING}/ka")).status_code == status
            extended = await client.post(f"/instance/{NOTHING}/extend", json={"expire_d": 60})
            assert extended.status_code in {400, 503}


async def test_an_extension_is_seen_at_once_through_every_replica(
    world: World, alice: httpx.AsyncClient, alice_there: httpx.AsyncClient
) -> None:
    instance = await made(alice, await world.type(deployments=1), expire_d=3600)
    since = await world.make_ready(instance)
    for client, other, expire_d in ((alice, alice_there, 4000), (alice_there, alice, 5000), (alice, alice_there, 6000)):
        begun = datetime.now(UTC)
        answer = await client.post(f"/instance/{instance}/extend", json={"expire_d": expire_d})
        assert answer.status_code == 200, answer.text
        expires = answer.json()["expires"]
        # Whole seconds, as the operator writes them: up to one before or after.
        lasts, second = timedelta(seconds=expire_d), timedelta(seconds=1)
        assert begun + lasts - second < parse_time(expires) < datetime.now(UTC) + lasts + second
        for reader in (other, client):
            assert (await reader.get(f"/instance/{instance}")).json()["expires"] == expires
    stored = (await world.instance_resource(instance)).spec.expire_after
    assert stored is not None
    assert 6001 <= stored <= (datetime.now(UTC) - since).total_seconds() + 6001


async def test_before_readiness_an_extension_counts_from_there(world: World, alice: httpx.AsyncClient) -> None:
    instance = await made(alice, await world.type(deployments=1, limits={"defaultExpireAfter": 60}))
    answer = await alice.post(f"/instance/{instance}/extend", json={"expire_d": 120})
    assert (answer.status_code, answer.json()) == (200, {"expires": None})
    assert (await world.instance_resource(instance)).spec.expire_after == 120
    assert "expires" not in (await alice.get(f"/instance/{instance}")).json()


async def test_extensions_that_are_refused(world: World, api: Api, signer: Signer, alice: httpx.AsyncClient) -> None:
    kind = await world.type(deployments=2, limits={"maxExpireAfter": 7200})
    instance = await made(alice, kind, expire_d=3600)
    since = await world.make_ready(instance)
    path, end = f"/instance/{instance}/extend", timestamp((since + timedelta(seconds=3600)).replace(microsecond=0))
    for body, text in (
        ({}, "option `expire_d` is required"),
        ({"expire_d": "60"}, "value for option `expire_d` has wrong type"),
        ({"expire_d": True}, "value for option `expire_d` has wrong type"),
        ({"expire_d": 0}, "value for option `expire_d` must be a positive number of seconds"),
        ({"expire_d": 60}, f"runs until {end} already"),
        ({"expire_d": 7201}, "exceeds 7200"),
        ({"expire_d": 7200}, "7200 s from readiness at most"),
    ):
        answer = await alice.post(path, json=body)
        assert (answer.status_code, text in answer.json()["error_message"]) == (400, True), answer.text
    for claims, text in (
        ({"opt": {"expire_d": 3600}}, "permits no value for option `expire_d` but 3600"),
        ({"sc": ["r"]}, "token scope does not permit change"),
        ({"in": NOTHING}, "token already constrained"),
    ):
        async with user_client(api, signer.token("alice", **claims)) as client:
            answer = await client.post(path, json={"expire_d": 4000})
        assert (answer.status_code, text in answer.json()["error_message"]) == (400, True), answer.text
    async with user_client(api, signer.token("alice", opt={"expire_d": 4000})) as client:
        # Its value from now would be more than its value from readiness.
        assert "4000 s from readiness at most" in (await client.post(path, json={"expire_d": 4000})).text
    assert (await world.instance_resource(instance)).spec.expire_after == 3600
    endless = await made(alice, await world.type(deployments=1))
    await world.make_ready(endless, None)
    assert "no end" in (await alice.post(f"/instance/{endless}/extend", json={"expire_d": 60})).text
    await alice.post(f"/terminate/{instance}")
    answer = await alice.post(path, json={"expire_d": 4000})
    assert (answer.status_code, answer.json()) == (400, INACTIVE)


async def test_what_is_not_the_callers_is_not_extended(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient, root: httpx.AsyncClient
) -> None:
    instance = await made(alice, await world.type(deployments=1), expire_d=60)
    await world.make_ready(instance, 60)
    path = f"/instance/{instance}/extend"
    for target in (path, f"/instance/{NOTHING}/extend"):
        answer = await bob.post(target, json={"expire_d": 3600})
        assert (answer.status_code, answer.json()) == (404, MISSING)
    assert (await root.post(path, json={"expire_d": 3600})).status_code == 200


async def test_while_others_wait_the_type_bounds_extensions(world: World, alice: httpx.AsyncClient) -> None:
    strict = await world.type(deployments=1)
    kind = await world.type(deployments=1, limits={"maxExtensionWhenQueued": 300})
    instance, kept = await made(alice, kind, expire_d=60), await made(alice, strict, expire_d=60)
    for ending in (instance, kept):
        await world.make_ready(ending, 60)
    # One's own place in the queue stands in nobody's way.
    await world.wait_in_queue("alice", workspaceType=kind)
    assert (await alice.post(f"/instance/{instance}/extend", json={"expire_d": 310})).status_code == 200
    for target in (strict, kind):  # who has heard of the second has heard of both
        await world.wait_in_queue("bob", workspaceType=target)

    async def refused() -> bool:
        answer = await alice.post(f"/instance/{instance}/extend", json={"expire_d": 400})
        return answer.status_code == 409 and "`expire_d` may be 300 at most" in answer.json()["error_message"]

    await eventually(refused)
    answer = await alice.post(f"/instance/{kept}/extend", json={"expire_d": 70})
    assert answer.status_code == 409
    assert "cannot be extended" in answer.json()["error_message"]
