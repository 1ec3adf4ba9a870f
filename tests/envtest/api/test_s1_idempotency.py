"""Contract §1, `Idempotency-Key`: the same key gets the first answer again, and makes nothing twice."""

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx
import pytest
import pytest_asyncio

from berth_api.idempotency.replay import digest_of
from berth_core import names
from berth_core.kube.types import Object

from . import process
from .book import SECRETS, Book, fresh
from .conftest import Setting, user_client
from .process import Api
from .signing import Signer
from .world import World

pytestmark = pytest.mark.apiserver

NOTHING = "00000000-0000-4000-8000-000000000000"
BUSY = "All matching workspace deployments are busy. Try again later."
SSHKEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"


@pytest_asyncio.fixture(scope="module")
async def alice2(second: Api, signer: Signer) -> AsyncIterator[httpx.AsyncClient]:
    """Alice, at another replica and with another token."""
    async with user_client(second, signer.token("alice", renewed=True)) as client:
        yield client


@pytest.fixture
def book(world: World) -> Book:
    return Book(world)


async def test_a_repeat_gets_the_first_answer_at_any_replica(
    world: World, book: Book, alice: httpx.AsyncClient, alice2: httpx.AsyncClient
) -> None:
    kind, key = await world.type(deployments=2), fresh()
    first = await alice.post(f"/new/{kind}", headers=key)
    assert first.status_code == 200
    assert "Idempotency-Replayed" not in first.headers
    for client in (alice, alice2):
        again = await client.post(f"/new/{kind}", headers=key)
        assert (again.status_code, again.content) == (200, first.content)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.headers["Content-Type"] == "application/json"
        assert again.headers["X-Request-Id"] != first.headers["X-Request-Id"]
    assert [i.public_id for i in await book.made(key)] == [first.json()["id"]]
    metadata = (await book.read(key))["metadata"]
    assert metadata["labels"][names.IDEMPOTENCY_LABEL] == digest_of("alice", key["Idempotency-Key"])
    assert metadata["annotations"][names.EXPIRES_ANNOTATION].endswith("Z")


async def test_no_record_holds_a_private_key(world: World, book: Book, alice: httpx.AsyncClient) -> None:
    """Keys go with their instances, and a record may outlive those."""
    kind, key = await world.type(deployments=1), fresh()
    first = (await alice.post(f"/new/{kind}", headers=key)).json()
    kept = (await book.fields(key))["answer"]
    assert json.loads(base64.b64decode(kept["body"])) == {"success": True, "id": first["id"]}
    # As the operator does when the lease has ended.
    await world.client.delete(SECRETS, world.namespaces.access, names.instance_object(first["id"]))
    again = await alice.post(f"/new/{kind}", headers=key)
    assert (again.status_code, again.json()) == (200, {"success": True, "id": first["id"]})
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_of_32_at_once_over_two_replicas_one_makes_an_instance(
    world: World, book: Book, alice: httpx.AsyncClient, alice2: httpx.AsyncClient
) -> None:
    kind, key = await world.type(deployments=8), fresh()
    clients = [(alice, alice2)[n % 2] for n in range(32)]
    answers = await asyncio.gather(*(client.post(f"/new/{kind}", headers=key) for client in clients))
    assert {answer.status_code for answer in answers} <= {200, 409}
    for answer in answers:
        if answer.status_code == 409:
            assert int(answer.headers["Retry-After"]) >= 1
            assert answer.json()["error"] == answer.json()["error_message"]
    won = {answer.content for answer in answers if answer.status_code == 200}
    assert len(won) == 1
    assert [i.public_id for i in await book.made(key)] == [json.loads(won.pop())["id"]]
    shown = (await alice.get(f"/instances/{kind}")).json()["workspace_instances"]
    assert len(shown) == 1


async def test_refusals_of_the_request_are_kept_and_those_of_the_moment_are_not(
    world: World, alice: httpx.AsyncClient
) -> None:
    name, key = f"later_{uuid.uuid4().hex}", fresh()
    refused = await alice.post(f"/new/{name}", headers=key)
    assert refused.status_code == 404
    busy, other = await world.type(name), fresh()
    again = await alice.post(f"/new/{name}", headers=key)
    assert (again.status_code, again.content) == (404, refused.content)
    taken = await world.deployment(busy)
    held = (await alice.post(f"/new/{taken}")).json()["id"]
    answer = await alice.post(f"/new/{taken}", headers=other)
    assert (answer.status_code, answer.json()) == (503, {"result_message": BUSY, "error_message": BUSY})
    await world.deployment(busy)
    made = await alice.post(f"/new/{busy}", headers=fresh())
    assert made.status_code == 200
    assert made.json()["id"] != held
    third = await world.deployment(busy)
    # The key of the request that found everything busy may try again, and now it finds one.
    assert (await alice.post(f"/new/{taken}", headers=other)).status_code == 503
    assert (await alice.post(f"/new/{third}", headers=other)).status_code == 200


async def test_a_key_belongs_to_one_request_of_one_user(
    world: World, signer: Signer, api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    kind, key = await world.type(deployments=3), fresh()
    first = await alice.post(f"/new/{kind}", headers=key, json={"sshkey": SSHKEY})
    assert first.status_code == 200
    for path, body in ((f"/new/{kind}", {}), (f"/terminate/{first.json()['id']}", {"sshkey": SSHKEY})):
        answer = await alice.post(path, headers=key, json=body)
        assert answer.status_code == 422
        assert answer.json()["error_message"] == "Idempotency-Key was used for another request"
    async with user_client(api, signer.token("alice", sc=["rw"], wt=[kind])) as other_rights:
        answer = await other_rights.post(f"/new/{kind}", headers=key, json={"sshkey": SSHKEY})
        assert answer.status_code == 422
    other = await bob.post(f"/new/{kind}", headers=key, json={"sshkey": SSHKEY})
    assert other.status_code == 200
    assert other.json()["id"] != first.json()["id"]


async def test_only_posts_with_a_token_have_keys(
    world: World, http: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    kind, key = await world.type(deployments=1), fresh()
    assert (await http.post(f"/new/{kind}", headers=key)).status_code == 400
    assert (await alice.post(f"/instance/{NOTHING}/ka", headers=key)).status_code == 404
    assert (await alice.get("/workspaces", headers=key)).status_code == 200
    # Neither has used the key up.
    assert (await alice.post(f"/new/{kind}", headers=key)).status_code == 200


@pytest.mark.parametrize("value", ["", "a\tb", "k" * 256, "schl\u00fcssel"])
async def test_a_key_that_cannot_be_one_is_400(alice: httpx.AsyncClient, value: str) -> None:
    headers = [(b"Idempotency-Key", value.encode("latin-1"))]
    answer = await alice.post("/new/some_type", headers=headers)
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["error_message"]
    answer = await alice.post("/new/some_type", headers=[(b"Idempotency-Key", b"a"), (b"Idempotency-Key", b"b")])
    assert answer.status_code == 400


async def test_a_body_that_is_too_large_is_413_and_uses_no_key_up(world: World, alice: httpx.AsyncClient) -> None:
    kind, key = await world.type(deployments=1), fresh()
    answer = await alice.post(f"/new/{kind}", content=b" " * 70_000, headers=key)
    assert answer.status_code == 413
    assert (await alice.post(f"/new/{kind}", headers=key)).status_code == 200


async def test_a_record_that_has_expired_counts_as_none(world: World, book: Book, alice: httpx.AsyncClient) -> None:
    kind, key = await world.type(deployments=2), fresh()
    first = (await alice.post(f"/new/{kind}", headers=key)).json()["id"]
    secret = (await book.read(key))["metadata"]
    gone = {"metadata": {"annotations": {names.EXPIRES_ANNOTATION: "2026-01-01T00:00:00Z"}}}
    await world.client.patch(SECRETS, world.namespaces.access, secret["name"], gone)
    again = await alice.post(f"/new/{kind}", headers=key)
    assert again.status_code == 200
    assert again.json()["id"] != first
    assert (await book.read(key))["metadata"]["uid"] != secret["uid"]


async def test_what_is_refused_before_anything_is_looked_up_makes_no_record(
    world: World, book: Book, api: Api, signer: Signer, alice: httpx.AsyncClient
) -> None:
    kind, space = await world.type(deployments=1), world.namespaces.access
    _, version = await world.client.list(SECRETS, space, metadata_only=True)
    wrong_form, no_right = fresh(), fresh()
    assert (await alice.post(f"/new/{kind}", headers=wrong_form, json={"sshkey": 5})).status_code == 400
    async with user_client(api, signer.token("alice", sc=["ro"])) as reader:
        assert (await reader.post(f"/terminate/{NOTHING}", headers=no_right)).status_code == 400
    mark: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"mark-{uuid.uuid4()}"}}
    await world.client.create(SECRETS, space, mark)
    records = {f"idem-{digest_of('alice', key['Idempotency-Key'])}" for key in (wrong_form, no_right)}
    async with asyncio.timeout(60), aclosing(world.client.watch(SECRETS, space, version)) as events:
        async for event in events:
            name = event.object["metadata"].get("name")
            assert name not in records, "neither for a moment"
            if name == mark["metadata"]["name"]:
                break
    # Neither has used its key up.
    assert (await alice.post(f"/new/{kind}", headers=wrong_form)).status_code == 200


async def test_of_a_refusal_status_and_text_are_kept(book: Book, alice: httpx.AsyncClient) -> None:
    key = fresh()
    refused = await alice.post(f"/terminate/{NOTHING}", headers=key)
    assert refused.status_code == 404
    secret, answer = await book.read(key), (await book.fields(key))["answer"]
    assert secret["metadata"]["labels"][names.REFUSED_LABEL] == "alice"
    assert answer["headers"] == [["content-type", "application/json"]]
    assert base64.b64decode(answer["body"]) == refused.content


async def test_beyond_the_bound_a_new_key_is_refused_and_no_record_is_dropped(
    world: World, setting: Setting, signer: Signer
) -> None:
    settings = setting.environment(BERTH_IDEMPOTENCY_KEYS_PER_USER="2")
    running = process.running(settings, setting.folder / "few-keys.log")
    async with process.in_thread(running) as few, user_client(few, signer.token("kim")) as kim:
        with world.heard_at(kim):
            kind = await world.type(deployments=4)
        keys = [fresh() for _ in range(2)]
        made = [await kim.post(f"/new/{kind}", headers=key) for key in keys]
        assert [answer.status_code for answer in made] == [200, 200]
        refused = await kim.post(f"/new/{kind}", headers=fresh())
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) > 3600
        for key, first in zip(keys, made, strict=True):
            again = await kim.post(f"/new/{kind}", headers=key)
            assert (again.status_code, again.content) == (200, first.content)
        assert (await kim.post(f"/new/{kind}")).status_code == 200
        async with user_client(few, signer.token("lea")) as lea:
            assert (await lea.post(f"/new/{kind}", headers=fresh())).status_code == 200


async def test_of_requests_with_keys_at_once_as_many_pass_as_records_may_be(
    world: World, setting: Setting, signer: Signer
) -> None:
    settings = setting.environment(BERTH_IDEMPOTENCY_KEYS_PER_USER="2")
    running = process.running(settings, setting.folder / "few-keys-at-once.log")
    async with process.in_thread(running) as few, user_client(few, signer.token("max")) as max_:
        with world.heard_at(max_):
            kind = await world.type(deployments=8)
        asked = [max_.post(f"/new/{kind}", headers=fresh()) for _ in range(8)]
        statuses = [answer.status_code for answer in await asyncio.gather(*asked)]
        assert sorted(statuses) == [200] * 2 + [429] * 6


async def test_a_request_that_is_refused_for_the_moment_takes_no_record_from_the_bound(
    world: World, setting: Setting, signer: Signer
) -> None:
    settings = setting.environment(BERTH_IDEMPOTENCY_KEYS_PER_USER="1")
    running = process.running(settings, setting.folder / "busy-keys.log")
    async with process.in_thread(running) as few, user_client(few, signer.token("ned")) as ned:
        with world.heard_at(ned):
            kind, free = await world.type(deployments=1), await world.type(deployments=1)
        assert (await ned.post(f"/new/{kind}")).status_code == 200
        for _ in range(3):
            assert (await ned.post(f"/new/{kind}", headers=fresh())).status_code == 503
        key = fresh()
        for _ in range(3):
            assert (await ned.post(f"/new/{free}", headers=key)).status_code == 200
        assert (await ned.post(f"/new/{free}", headers=fresh())).status_code == 429
