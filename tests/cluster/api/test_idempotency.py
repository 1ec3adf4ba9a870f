"""`Idempotency-Key`: the same key from the same user gets the first answer again, and makes nothing twice."""

import asyncio
import base64
import contextlib
import json
import signal
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from berth_api.repeats import DEAD_SECONDS, digest_of
from berth_core import names
from berth_core.client import Kind
from berth_core.resources import FirewallRule, Instance

from . import process
from .conftest import Setting, user_client
from .gateway import Gateway, gateway
from .process import Api
from .signing import Signer
from .world import World

pytestmark = pytest.mark.apiserver

SECRETS = Kind("v1", "secrets")
BUSY = "All matching workspace deployments are busy. Try again later."
SSHKEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"


@pytest_asyncio.fixture(scope="module")
async def alice2(second: Api, signer: Signer) -> AsyncIterator[httpx.AsyncClient]:
    """Alice, at another replica and with another token."""
    async with user_client(second, signer.token("alice", renewed=True)) as client:
        yield client


def fresh() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())}


@dataclass
class Book:
    """The records in the cluster, as an administrator sees them."""

    world: World

    async def read(self, key: dict[str, str], user: str = "alice") -> dict[str, Any]:
        """The Secret of a key."""
        name = f"idem-{digest_of(user, key['Idempotency-Key'])}"
        return await self.world.client.get(SECRETS, self.world.namespaces.access, name)

    async def fields(self, key: dict[str, str]) -> dict[str, Any]:
        """What the record says."""
        read: dict[str, Any] = json.loads(base64.b64decode((await self.read(key))["data"]["record"]))
        return read

    async def rewrite(self, key: dict[str, str], *, age: float, **changes: object) -> None:
        """Make a record look as if its request had begun so many seconds ago; None takes a field away."""
        secret, fields = await self.read(key), await self.fields(key)
        fields = fields | {"started": time.time() - age} | changes
        fields = {name: value for name, value in fields.items() if value is not None}
        data = {"record": base64.b64encode(json.dumps(fields).encode()).decode()}
        await self.world.client.patch(SECRETS, self.world.namespaces.access, secret["metadata"]["name"], {"data": data})

    async def made(self, key: dict[str, str], user: str = "alice") -> list[Instance]:
        """Instances that requests with the key made."""
        labels = {names.IDEMPOTENCY_LABEL: digest_of(user, key["Idempotency-Key"])}
        objects, _ = await self.world.client.list(Instance.api(), self.world.namespaces.workspaces, labels=labels)
        return [Instance.parse(obj) for obj in objects]


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
    async with user_client(api, signer.token("alice", sc=["ro"])) as reader:
        answer = await reader.post(f"/new/{kind}", headers=key, json={"sshkey": SSHKEY})
        assert answer.status_code == 422
    other = await bob.post(f"/new/{kind}", headers=key, json={"sshkey": SSHKEY})
    assert other.status_code == 200
    assert other.json()["id"] != first.json()["id"]


async def test_only_posts_with_a_token_have_keys(
    world: World, http: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    kind, key = await world.type(deployments=1), fresh()
    assert (await http.post(f"/new/{kind}", headers=key)).status_code == 400
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


async def test_a_rule_is_appended_once(world: World, book: Book, alice: httpx.AsyncClient) -> None:
    instance = (await alice.post(f"/new/{await world.type(deployments=1)}")).json()["id"]
    await world.bind(instance)
    key, body = fresh(), {"src": "203.0.113.7", "action": "DROP"}
    for _ in range(3):
        answer = await alice.post(f"/firewall/{instance}", json=body, headers=key)
        assert (answer.status_code, answer.content) == (200, b"")
    # As a process leaves it that dies between the rule and the answer.
    await book.rewrite(key, age=DEAD_SECONDS + 1, phase="started", answer=None)
    answer = await alice.post(f"/firewall/{instance}", json=body, headers=key)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Idempotency-Replayed"] == "true"
    objects, _ = await world.client.list(
        FirewallRule.api(), world.namespaces.workspaces, fields={"spec.instance": instance}
    )
    assert len(objects) == 1


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


MADE_AT = {
    "the record": lambda method, path: method == "POST" and path.endswith("/secrets"),
    "the lease": lambda method, path: method == "PATCH" and "/workspacedeployments/" in path,
    "the instance": lambda method, path: method == "POST" and path.endswith("/instances"),
}


@pytest.mark.parametrize("moment", MADE_AT)
async def test_a_process_that_is_killed_leaves_nothing_to_make_twice(
    moment: str, setting: Setting, world: World, book: Book, signer: Signer, alice: httpx.AsyncClient
) -> None:
    kind, key = await world.type(deployments=2), fresh()
    async with through_gateway(setting, signer, ends=-signal.SIGKILL) as (between, doomed, client):

        async def kill() -> None:
            doomed.process.kill()
            await asyncio.to_thread(doomed.process.wait)

        async with between.after(MADE_AT[moment], kill):
            with pytest.raises(httpx.TransportError):
                await client.post(f"/new/{kind}", headers=key)
    early = await alice.post(f"/new/{kind}", headers=key)
    assert early.status_code == 409
    assert int(early.headers["Retry-After"]) >= 1
    await book.rewrite(key, age=DEAD_SECONDS + 1)
    late = await asyncio.gather(*(alice.post(f"/new/{kind}", headers=key) for _ in range(8)))
    assert {answer.status_code for answer in late} <= {200, 409}
    answers = {answer.content for answer in late if answer.status_code == 200}
    assert len(answers) == 1
    answer = json.loads(answers.pop())
    assert [i.public_id for i in await book.made(key)] == [answer["id"]]
    assert answer == {"success": True, "id": answer["id"], "sshkey": answer["sshkey"]}
    assert (await alice.get(f"/instance/{answer['id']}/sshkey")).json() == {"key": answer["sshkey"]}
    again = await alice.post(f"/new/{kind}", headers=key)
    assert again.json() == answer


async def test_an_outage_at_any_step_makes_nothing_twice(
    setting: Setting, world: World, book: Book, signer: Signer
) -> None:
    async with through_gateway(setting, signer) as (between, _, client):
        # The record cannot be made: nothing happens, and the same key may try again at once.
        kind, key = await world.type(deployments=1), fresh()
        async with between.refusing(MADE_AT["the record"], 503):
            answer = await client.post(f"/new/{kind}", headers=key)
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) >= 1
        assert await book.made(key) == []
        assert (await client.post(f"/new/{kind}", headers=key)).status_code == 200

        # Nobody knows whether the instance was made: a repeat looks, and does not make another.
        kind, key = await world.type(deployments=2), fresh()
        async with between.refusing(MADE_AT["the instance"], 504):
            assert (await client.post(f"/new/{kind}", headers=key)).status_code == 503
        answer = await client.post(f"/new/{kind}", headers=key)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 30
        assert await book.made(key) == []
        await book.rewrite(key, age=DEAD_SECONDS + 1)
        assert (await client.post(f"/new/{kind}", headers=key)).status_code == 200
        assert len(await book.made(key)) == 1

        # The answer cannot be kept: the client has it all the same, and a repeat finds what was made.
        kind, key = await world.type(deployments=2), fresh()
        async with between.refusing(lambda method, path: method == "PATCH" and "/secrets/idem-" in path, 503):
            first = await client.post(f"/new/{kind}", headers=key)
            assert first.status_code == 200
        await book.rewrite(key, age=DEAD_SECONDS + 1)
        assert (await client.post(f"/new/{kind}", headers=key)).json() == first.json()
        assert len(await book.made(key)) == 1


@contextlib.asynccontextmanager
async def through_gateway(
    setting: Setting, signer: Signer, *, ends: int = 0
) -> AsyncIterator[tuple[Gateway, Api, httpx.AsyncClient]]:
    """A process of its own that reaches the cluster through a gateway, and a client of alice's."""
    async with gateway(setting.server.kubeconfig) as between:
        kubeconfig = between.kubeconfig(setting.kubeconfig, setting.folder / f"{uuid.uuid4()}.kubeconfig")
        settings = setting.environment(KUBECONFIG=str(kubeconfig))
        running = process.running(settings, kubeconfig.with_suffix(".log"), ends=ends)
        async with process.in_thread(running) as api, user_client(api, signer.token("alice")) as client:
            yield between, api, client
