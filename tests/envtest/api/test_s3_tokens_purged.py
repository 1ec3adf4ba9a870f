"""Contract §3, POST /purge: all tokens until now end, those made after the answer count; and who may ask for it."""

import asyncio
import base64
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from amount import but_first
from argon2 import PasswordHasher
from promised import promised

from berth_api.auth.passwords import MOST_AT_ONCE, PER_SITE
from berth_core import ids, names
from berth_core.kube.model import timestamp
from berth_core.kube.types import Kind
from berth_core.names import API_VERSION
from berth_core.resources import Account

from .conftest import user_client
from .process import Api
from .signing import Signer
from .world import World

pytestmark = pytest.mark.apiserver

SECRETS = Kind("v1", "secrets")
FAILED = {"error_message": "authentication failed"}
WRONG = {"error_message": "wrong authorization token"}
PASSWORD = "correct horse: b\u00e4ttery"
PEERS = itertools.count(1)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def basic(user: str, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def peer() -> dict[str, str]:
    """A peer that has not failed yet."""
    return {"X-Forwarded-For": f"198.51.100.{next(PEERS)}"}


Enrol = Callable[[str], Awaitable[None]]


@pytest.fixture
def enrol(world: World) -> Enrol:
    """Make an account with a password, as the command line does."""

    async def make(user: str) -> None:
        account, namespace = ids.user_object(user), world.namespaces.access
        secret = {
            "metadata": {"name": names.password_secret(account)},
            "stringData": {names.PASSWORD_HASH: PasswordHasher().hash(PASSWORD)},
        }
        await world.client.create(SECRETS, namespace, secret)
        spec = {"user": user, "passwordSecretRef": {"name": names.password_secret(account)}}
        body = {"apiVersion": API_VERSION, "kind": "Account", "metadata": {"name": account}, "spec": spec}
        await world.client.create(Account.api(), namespace, body)

    return make


async def counts(http: httpx.AsyncClient, token: str) -> bool:
    answer = await http.get("/reservations", headers=bearer(token))
    assert answer.status_code == 200 or answer.json() == WRONG
    return answer.status_code == 200


async def account(world: World, user: str) -> Account:
    return Account.parse(await world.client.get(Account.api(), world.namespaces.access, ids.user_object(user)))


@pytest.mark.alone
async def test_a_token_purges_all_until_now(http: httpx.AsyncClient, signer: Signer) -> None:
    old = [
        signer.token("anna"),
        signer.token("anna", org="x"),
        signer.token("anna", iat=None),
        signer.token("anna", su=True),
    ]
    others = signer.token("andrew")
    assert all([await counts(http, token) for token in old])
    begun = time.monotonic()
    answer = await http.post("/purge", headers=bearer(old[0]))
    assert (answer.status_code, answer.content) == (200, b"")
    new = signer.token("anna")
    assert await counts(http, new), "a token made after the answer counts"
    assert time.monotonic() - begun < promised(3)
    assert not any([await counts(http, token) for token in old])
    assert not await counts(http, signer.token("anna", iat=None))
    assert await counts(http, others)
    assert (await http.post("/purge", headers=bearer(old[0]))).json() == FAILED
    assert (await http.post("/purge", headers=bearer(new))).status_code == 200
    assert not await counts(http, new)


@pytest.mark.release(twin="tests/envtest/api/test_s3_tokens_purged.py::test_a_token_purges_all_until_now")
async def test_a_purge_ends_the_token_that_asks_for_it_whatever_clock_made_it(
    http: httpx.AsyncClient, signer: Signer
) -> None:
    """A clock that is a little ahead is tolerated, and must not save a token."""
    ahead = signer.token("ahead", iat=int(time.time()) + 3)
    assert (await http.post("/purge", headers=bearer(ahead))).status_code == 200
    assert not await counts(http, ahead)
    assert await counts(http, signer.token("ahead"))


async def test_purges_at_the_same_time_agree(http: httpx.AsyncClient, signer: Signer) -> None:
    """One that comes while another is at work may find its token ended; none fails otherwise."""
    tokens = [signer.token("bea", org=str(number)) for number in range(8)]
    answers = await asyncio.gather(*(http.post("/purge", headers=bearer(token)) for token in tokens))
    assert {answer.status_code for answer in answers} <= {200, 400}
    assert 200 in {answer.status_code for answer in answers}
    assert all(answer.json() == FAILED for answer in answers if answer.status_code == 400)
    assert await counts(http, signer.token("bea"))
    assert not any([await counts(http, token) for token in tokens])


async def test_an_account_keeps_its_password_and_never_goes_back(
    http: httpx.AsyncClient, world: World, enrol: Enrol, peer: dict[str, str]
) -> None:
    user, namespace = "Cleo Ärmel", world.namespaces.access
    await enrol(user)
    ahead = timestamp(datetime.now(UTC) + timedelta(days=1))
    body = {"spec": {"tokensValidAfter": ahead}}
    await world.client.patch(Account.api(), namespace, ids.user_object(user), body)
    assert (await http.post("/purge", headers=peer | basic(user))).status_code == 200
    spec = (await account(world, user)).spec
    assert spec.tokens_valid_after == ahead
    assert spec.password_secret_ref is not None


@pytest.mark.parametrize("form", but_first("basic", "body beside a token", "body", "basic beside a body", stay=2))
async def test_a_pair_is_proof(
    http: httpx.AsyncClient, signer: Signer, enrol: Enrol, peer: dict[str, str], form: str
) -> None:
    user = f"dora-{form.replace(' ', '-')}"
    await enrol(user)
    shown: dict[str, dict[str, Any]] = {
        "basic": {"headers": peer | basic(user)},
        "body": {"headers": peer, "json": {"user": user, "password": PASSWORD}},
        "basic beside a body": {"headers": peer | basic(user), "json": {"user": "x", "password": "y"}},
        "body beside a token": {
            "headers": peer | bearer("no token"),
            "json": {"user": user, "password": PASSWORD},
        },
    }
    old = signer.token(user)
    assert await counts(http, old)
    assert (await http.post("/purge", **shown[form])).status_code == 200
    assert not await counts(http, old)
    assert await counts(http, signer.token(user))


async def test_what_proves_nothing(
    http: httpx.AsyncClient, signer: Signer, enrol: Enrol, peer: dict[str, str], world: World
) -> None:
    await enrol("emil")
    token = signer.token("emil")
    proofs: list[dict[str, Any]] = [
        {},
        {"headers": bearer("x")},
        {"headers": basic("emil", "wrong")},
        {"headers": basic("emil", "")},
        {"headers": basic("nobody")},
        {"headers": basic("")},
        {"headers": {"Authorization": "Basic !"}},
        {"headers": {"Authorization": "Basic " + base64.b64encode(b"emil").decode()}},
        {"headers": {"Authorization": "Basic " + base64.b64encode(b"emil:\xff").decode()}},
        {"json": {"user": "emil"}},
        {"json": {"password": PASSWORD}},
        {"json": {"user": ["emil"], "password": PASSWORD}},
        {"json": {"user": "emil\n", "password": PASSWORD}},
        {"json": {"user": "emil", "password": PASSWORD + "x" * 2000}},
        # a pair that is wrong beside a token that counts
        {"headers": bearer(token), "json": {"user": "emil", "password": "wrong"}},
        {"headers": bearer(token), "json": {"user": None}},
    ]
    for proof in proofs:
        answer = await http.post("/purge", **{"headers": {}} | proof | {"headers": peer | proof.get("headers", {})})
        assert (answer.status_code, answer.json()) == (400, FAILED), proof
    assert await counts(http, token)
    assert (await account(world, "emil")).spec.tokens_valid_after is None


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"sc": ["r"]}, "token scope does not permit change"),
        ({"in": "00000000-0000-4000-8000-000000000001"}, "token already constrained to another instance"),
    ],
)
async def test_a_lesser_token_is_no_proof(
    api: Api, http: httpx.AsyncClient, signer: Signer, claims: dict[str, Any], message: str
) -> None:
    lesser = signer.token("fay", **claims)
    async with user_client(api, lesser) as client:
        answer = await client.post("/purge")
    assert (answer.status_code, answer.json()["error_message"]) == (400, message)
    assert await counts(http, signer.token("fay"))


async def test_guessing_ends_soon(api: Api, http: httpx.AsyncClient, enrol: Enrol) -> None:
    async def purge(user: str, password: str, peer: str) -> httpx.Response:
        return await http.post("/purge", headers=basic(user, password) | {"X-Forwarded-For": peer})

    await enrol("gil")
    await enrol("gus")
    # one user, from all addresses of an IPv6 network
    answers = [await purge("gil", "s3cret-guess", f"2001:db8::{n:x}") for n in range(1, 15)]
    assert [answer.status_code for answer in answers] == [400] * 10 + [429] * 4
    right = await purge("gil", PASSWORD, "2001:db8::ffff")
    assert right.status_code == 429
    assert 1 <= int(right.headers["Retry-After"]) <= 900
    # whoever knows the password, elsewhere, only waits
    assert (await purge("gil", PASSWORD, "203.0.113.200")).status_code == 200
    assert (await purge("gus", PASSWORD, "203.0.113.200")).status_code == 200
    # many users, from that network: ten failures more
    found = [(await purge(f"nobody-{n}", "s3cret-guess", f"2001:db8::{n:x}")).status_code for n in range(12)]
    assert found == [400] * 10 + [429] * 2
    assert (await purge("gus", PASSWORD, "2001:db8::ffff:1")).status_code == 429
    assert (await purge("gus", PASSWORD, "2001:db8:0:1::1")).status_code == 200
    written = api.log.read_text()
    for secret in ("s3cret-guess", PASSWORD, "$argon2id$"):
        assert secret not in written


@pytest.mark.release(twin="tests/envtest/api/test_s3_tokens_purged.py::test_guessing_ends_soon")
async def test_of_many_pairs_at_once_most_are_turned_away(http: httpx.AsyncClient) -> None:
    """Each check takes time by design, so whoever waits for it must be few."""

    async def purge(number: int) -> httpx.Response:
        # a site of its own each: of a site with failures, fewer are let in
        headers = basic(f"crowd-{number}", "s3cret-guess") | {"X-Forwarded-For": f"2001:db8:{0x1000 + number:x}::1"}
        return await http.post("/purge", headers=headers)

    answers = await asyncio.gather(*(purge(number) for number in range(3 * MOST_AT_ONCE)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {400, 503}
    assert statuses.count(400) >= MOST_AT_ONCE
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers if answer.status_code == 503)
    assert (await purge(3 * MOST_AT_ONCE)).status_code == 400


@pytest.mark.release(twin="tests/unit/api/auth/test_passwords.py::test_networks_of_one_site_share_its_tries")
async def test_guesses_from_ever_new_networks_of_a_site_end_and_keep_nobody_out(
    http: httpx.AsyncClient, enrol: Enrol, peer: dict[str, str]
) -> None:
    """Beside them the right password is taken at once, however many are tried."""
    await enrol("lou")
    numbers, found, failed = itertools.count(), Counter[int](), asyncio.Event()

    async def guess() -> None:
        while not found[429]:
            number = next(numbers)
            who = basic(f"nobody-{number}", "s3cret-guess") | {"X-Forwarded-For": f"2001:db8:2:{number:x}::1"}
            status = (await http.post("/purge", headers=who)).status_code
            found[status] += 1
            if status == 400:
                failed.set()

    async with asyncio.TaskGroup() as group:
        for _ in range(2 * MOST_AT_ONCE):
            group.create_task(guess())
        await failed.wait()
        right = 0
        while not found[429]:
            answer = await http.post("/purge", headers=basic("lou") | peer)
            assert answer.status_code == 200, answer.text
            right += 1
    assert right > 0
    assert found[400] == PER_SITE.amount
