"""Contract §1, `Idempotency-Key` when processes die and the cluster fails: nothing is made twice or lost."""

import asyncio
import json
import signal
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial

import httpx
import pytest
from amount import but_first

from berth_api.idempotency.replay import DEAD_SECONDS, MAKING_SECONDS
from berth_core.kube.model import parse_time, timestamp
from berth_core.leases import leasing
from berth_core.leases.availability import Lease
from berth_core.resources import AccessRule, FirewallRule, Reservation
from berth_core.state import CLAIM_LOST

from . import ci
from .book import Book, fresh
from .conftest import Setting, through_gateway
from .signing import Signer
from .world import World, eventually

pytestmark = pytest.mark.apiserver


@pytest.fixture
def book(world: World) -> Book:
    return Book(world)


async def dies_before_its_answer(book: Book, key: dict[str, str], user: str) -> None:
    """Leave the record as a process does that dies between what it made and its answer."""
    await book.rewrite(key, user, age=DEAD_SECONDS + 1, phase="started", answer=None)


async def test_a_firewall_rule_is_appended_once(world: World, book: Book, alice: httpx.AsyncClient) -> None:
    instance = (await alice.post(f"/new/{await world.type(deployments=1)}")).json()["id"]
    await world.bind(instance)
    key, body = fresh(), {"src": "203.0.113.7", "action": "DROP"}
    for _ in range(3):
        answer = await alice.post(f"/firewall/{instance}", json=body, headers=key)
        assert (answer.status_code, answer.content) == (200, b"")
    await dies_before_its_answer(book, key, "alice")
    answer = await alice.post(f"/firewall/{instance}", json=body, headers=key)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Idempotency-Replayed"] == "true"
    objects, _ = await world.client.list(
        FirewallRule.api(), world.namespaces.workspaces, fields={"spec.instance": instance}
    )
    assert len(objects) == 1


async def test_an_access_rule_is_made_once(world: World, book: Book, root: httpx.AsyncClient) -> None:
    deployment = await world.deployment(await world.type())
    key, body = fresh(), {"cap": "CAP_NO_INSTANTIATE", "user": "bob"}
    first = await root.post(f"/deployment/{deployment}/rule", json=body, headers=key)
    assert first.status_code == 200
    await dies_before_its_answer(book, key, "root")
    again = await root.post(f"/deployment/{deployment}/rule", json=body, headers=key)
    assert (again.status_code, again.json()) == (200, first.json())
    resource = await world.deployment_resource(deployment)
    objects, _ = await world.client.list(
        AccessRule.api(), world.namespaces.workspaces, fields={"spec.deployment": resource.metadata.name}
    )
    assert len(objects) == 1


async def test_a_reservation_is_made_once(
    world: World, book: Book, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    kind, key = await world.type(deployments=1), fresh()
    assert (await alice.post(f"/new/{kind}")).status_code == 200
    first = await bob.post(f"/new/{kind}", json={"reserve": True}, headers=key)
    assert (first.status_code, first.json()["success"]) == (200, False)
    await dies_before_its_answer(book, key, "bob")
    again = await bob.post(f"/new/{kind}", json={"reserve": True}, headers=key)
    assert (again.status_code, again.json()) == (200, first.json())
    objects, _ = await world.client.list(Reservation.api(), world.namespaces.workspaces, fields={"spec.user": "bob"})
    assert [obj["metadata"]["name"] for obj in objects if obj["spec"].get("workspaceType") == kind] == [
        first.json()["id"]
    ]


async def test_a_build_is_asked_for_once(world: World, book: Book, alice: httpx.AsyncClient) -> None:
    key, body = fresh(), {"ns": "once", "repo_type": "git", "repo_url": ci.URL, "repo_branch": "main"}
    first = await alice.post("/ci/new", json=body, headers=key)
    assert first.json().keys() == {"pid", "jid"}
    await dies_before_its_answer(book, key, "alice")
    again = await alice.post("/ci/new", json=body, headers=key)
    assert (again.status_code, again.json()) == (200, first.json())
    one_more, path = fresh(), "/ci/project/once/job"
    first = await alice.post(path, json={"branch": "main"}, headers=one_more)
    await dies_before_its_answer(book, one_more, "alice")
    again = await alice.post(path, json={"branch": "main"}, headers=one_more)
    assert (again.status_code, again.json()) == (200, first.json())
    assert len((await alice.get(path)).json()["jobs"]) == 2


async def test_a_project_is_registered_once(book: Book, alice: httpx.AsyncClient) -> None:
    key = fresh()
    first = await alice.post("/ci/new", json={"repo_url": ci.URL}, headers=key)
    await dies_before_its_answer(book, key, "alice")
    again = await alice.post("/ci/new", json={"repo_url": ci.URL}, headers=key)
    assert (again.status_code, again.json()) == (200, first.json())


MADE_AT = {
    "the record": lambda method, path: method == "POST" and path.endswith("/secrets"),
    "the lease": lambda method, path: method == "PATCH" and "/workspacedeployments/" in path,
    "the instance": lambda method, path: method == "POST" and path.endswith("/instances"),
}


@pytest.mark.parametrize("moment", but_first(*MADE_AT))
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


async def test_a_request_that_fails_late_leaves_the_record_to_the_one_that_took_it_over(
    setting: Setting, world: World, book: Book, signer: Signer, alice: httpx.AsyncClient
) -> None:
    kind, key = await world.type(deployments=2), fresh()
    second: list[httpx.Response] = []
    async with through_gateway(setting, signer) as (between, _, client):

        async def take_over() -> None:
            await book.rewrite(key, age=DEAD_SECONDS + 1)
            second.append(await alice.post(f"/new/{kind}", headers=key))

        async with between.after(MADE_AT["the record"], take_over), between.refusing(MADE_AT["the lease"], 503):
            assert (await client.post(f"/new/{kind}", headers=key)).status_code == 503
    assert second[0].status_code == 200
    third = await alice.post(f"/new/{kind}", headers=key)
    assert (third.json(), third.headers["Idempotency-Replayed"]) == (second[0].json(), "true")
    assert len(await book.made(key)) == 1


async def test_nothing_is_made_once_the_store_says_that_the_request_took_too_long(
    setting: Setting, world: World, book: Book, signer: Signer
) -> None:
    kind, key = await world.type(deployments=1), fresh()
    async with through_gateway(setting, signer) as (between, _, client):

        async def stand_still() -> None:
            """The process counts no second of a pause of its machine; the next answer tells what time it is."""
            between.date = format_datetime(datetime.now(UTC) + timedelta(seconds=MAKING_SECONDS + 2), usegmt=True)

        async with between.after(MADE_AT["the lease"], stand_still):
            assert (await client.post(f"/new/{kind}", headers=key)).status_code == 503
    assert await book.made(key) == []


async def store_is_past(world: World, moment: datetime) -> bool:
    """Whether the API server's clock shows a later time; two of them may differ by 2 s, and objects have whole ones."""
    await world.client.list(Reservation.api(), world.namespaces.workspaces)
    return world.client.clock.bounds()[0] > moment.timestamp()


async def test_what_an_earlier_use_of_a_key_made_answers_no_later_one(
    setting: Setting, world: World, book: Book, signer: Signer
) -> None:
    kind, key = await world.type(deployments=3), fresh()
    async with through_gateway(setting, signer) as (between, _, client):
        first = (await client.post(f"/new/{kind}", headers=key)).json()["id"]
        made_at = parse_time((await world.instance_resource(first)).metadata.creation_timestamp)
        await book.forget(key)
        await eventually(partial(store_is_past, world, made_at + timedelta(seconds=4)))
        async with between.refusing(MADE_AT["the instance"], 504):
            assert (await client.post(f"/new/{kind}", headers=key)).status_code == 503
        assert (await client.post(f"/new/{kind}", headers=key)).status_code == 503
        await book.rewrite(key, age=DEAD_SECONDS + 1)
        again = await client.post(f"/new/{kind}", headers=key)
        assert again.status_code == 200
        assert again.json()["id"] != first


async def test_an_instance_that_lost_its_claim_is_nothing_that_was_made(
    world: World, book: Book, alice: httpx.AsyncClient
) -> None:
    kind, key = await world.type(deployments=1), fresh()
    first = (await alice.post(f"/new/{kind}", headers=key)).json()["id"]
    claim = (await world.instance_resource(first)).spec.claim
    assert claim is not None
    given_up = Lease(claim.deployment, claim.epoch)
    where = world.client, world.namespaces.workspaces, given_up
    await leasing.give_back(*where, instance=first, completed=False, now=datetime.now(UTC))
    await dies_before_its_answer(book, key, "alice")
    unsure = await alice.post(f"/new/{kind}", headers=key)
    assert unsure.status_code == 503, "it is not bound, and will not be"
    await world.as_operator(first, reason=CLAIM_LOST, message="", endTime=timestamp(datetime.now(UTC)))
    await dies_before_its_answer(book, key, "alice")
    again = await alice.post(f"/new/{kind}", headers=key)
    assert again.status_code == 200
    assert again.json()["id"] != first


async def test_a_refusal_for_a_quota_is_not_kept(world: World, book: Book, alice: httpx.AsyncClient) -> None:
    kind, key = await world.type(deployments=2, limits={"maxPerUser": 1}), fresh()
    first = (await alice.post(f"/new/{kind}")).json()["id"]
    assert (await alice.post(f"/new/{kind}", headers=key)).status_code == 403
    claim = (await world.instance_resource(first)).spec.claim
    assert claim is not None
    where = world.client, world.namespaces.workspaces, Lease(claim.deployment, claim.epoch)
    await leasing.give_back(*where, instance=first, completed=True, now=datetime.now(UTC))
    assert (await alice.post(f"/new/{kind}", headers=key)).status_code == 200
    assert len(await book.made(key)) == 1


async def test_a_record_that_could_not_be_dropped_counts(world: World, setting: Setting, signer: Signer) -> None:
    async with through_gateway(setting, signer, BERTH_IDEMPOTENCY_KEYS_PER_USER="2") as (gateway, _, alice):
        with world.heard_at(alice):
            kind = await world.type(deployments=1)
        assert (await alice.post(f"/new/{kind}")).status_code == 200

        def drops(method: str, path: str) -> bool:
            return method == "DELETE" and "/secrets/idem-" in path

        async with gateway.refusing(drops, 500):
            answers = [await alice.post(f"/new/{kind}", headers=fresh()) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [503, 503, 429]
