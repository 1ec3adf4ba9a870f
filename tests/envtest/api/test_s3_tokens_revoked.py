"""Contract §3, POST /revoke: tokens end on every replica within a second, and stay ended."""

import asyncio
import hashlib
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
from promised import promised

from berth_core import ids
from berth_core.kube.model import parse_time, timestamp
from berth_core.names import API_VERSION, IN_ADVANCE_LABEL
from berth_core.resources import IssuedToken, TokenRevocation

from . import process
from .conftest import TIMEOUT, Setting, user_client
from .process import Api
from .signing import Signer
from .world import World, eventually

pytestmark = pytest.mark.apiserver

FAILED = {"error_message": "authentication failed"}
WRONG = {"error_message": "wrong authorization token"}
UNRECOGNIZED = {"error_message": "unrecognized command"}
LONGEST_LIFE = 366 * 86400
EFFECT_SECONDS = promised(1)
"""A watch that misses objects is mended after a second too, but only once in ten: later tests find it deaf."""


class Tokens:
    """Tokens of one user, tried on both replicas."""

    def __init__(self, signer: Signer, http: httpx.AsyncClient, second: httpx.AsyncClient) -> None:
        self.signer = signer
        self.replicas = (http, second)

    async def answers(self, token: str) -> list[int]:
        """Statuses of a route that needs a token, on each replica."""
        headers = {"Authorization": f"Bearer {token}"}
        return [(await client.get("/reservations", headers=headers)).status_code for client in self.replicas]

    async def end_at_once(self, *tokens: str) -> None:
        """The first replica refuses already, the second within a second; public routes go on as if there were none."""
        for token in tokens:
            assert (await self.answers(token))[0] == 400

        async def all_refused() -> bool:
            return [await self.answers(token) for token in tokens] == [[400, 400]] * len(tokens)

        await eventually(all_refused, EFFECT_SECONDS)
        headers = {"Authorization": f"Bearer {tokens[0]}"}
        assert (await self.replicas[0].get("/reservations", headers=headers)).json() == WRONG
        assert (await self.replicas[0].get("/deployments", headers=headers)).status_code == 200

    async def revoke(self, token: str, sha256: str) -> httpx.Response:
        return await self.replicas[0].post(f"/revoke/{sha256}", headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
async def tokens(signer: Signer, http: httpx.AsyncClient, second: Api) -> AsyncIterator[Tokens]:
    async with httpx.AsyncClient(base_url=second.url, timeout=TIMEOUT) as other:
        yield Tokens(signer, http, other)


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def stamp(seconds: float) -> str:
    return timestamp(datetime.fromtimestamp(int(seconds), UTC))


async def stored(world: World, sha256: str, user: str | None) -> TokenRevocation:
    name = ids.revocation(sha256, user)
    return TokenRevocation.parse(await world.client.get(TokenRevocation.api(), world.namespaces.access, name))


@pytest.mark.alone
async def test_a_token_ends_itself(tokens: Tokens, world: World) -> None:
    token, other = tokens.signer.token("tom"), tokens.signer.token("tom", org="x")
    assert await tokens.answers(token) == [200, 200]
    answer = await tokens.revoke(token, digest(token).upper())
    assert (answer.status_code, answer.content) == (200, b"")
    await tokens.end_at_once(token)
    assert await tokens.answers(other) == [200, 200]
    assert (await tokens.revoke(token, digest(token))).json() == FAILED
    until = parse_time((await stored(world, digest(token), "tom")).spec.expires).timestamp()
    assert until == pytest.approx(time.time() + 3600, abs=30)


async def test_a_revoked_token_gets_nothing_however_it_is_sent(tokens: Tokens, world: World) -> None:
    """Not by another spelling or method, nor what it was given before."""
    http, token, fresh = tokens.replicas[0], tokens.signer.token("tia", org="x"), tokens.signer.token("tia")
    kind, key = await world.type(deployments=1), {"Idempotency-Key": str(uuid.uuid4())}
    made = await http.post(f"/new/{kind}", headers={"Authorization": f"Bearer {token}"} | key)
    assert made.status_code == 200
    instance = f"/instance/{made.json()['id']}"
    assert (await tokens.revoke(token, digest(token))).status_code == 200
    spellings: list[list[tuple[str, str]]] = [
        [("Authorization", text)]
        for text in (
            f"Bearer {token}",
            f"bearer {token}",
            f"BEARER   {token}",
            f"Bearer\t{token}",
            f"Bearer {token}=",
            f"Bearer {token}.",
            f"Bearer {token}, Bearer {fresh}",
            f"Basic {token}",
        )
    ]
    spellings.append([("Authorization", f"Bearer {token}"), ("authorization", f"Bearer {fresh}")])
    spellings.append([("Authorization", f"Bearer {fresh}"), ("Authorization", f"Bearer {token}")])
    for spelling in spellings:
        for method, path in (("GET", instance), ("HEAD", instance), ("GET", instance + "/sshkey")):
            assert (await http.request(method, path, headers=spelling)).status_code == 400, (method, path, spelling)
        for path, body in ((f"/new/{kind}", b""), (f"/new/{kind}", b'{"allow_noop": true}'), (instance + "/ka", b"")):
            answer = await http.post(path, headers=[*spelling, *key.items()], content=body)
            assert answer.status_code == 400, (path, spelling)
            assert answer.json()["error_message"] == WRONG["error_message"]


async def test_a_process_that_starts_later_knows(tokens: Tokens, setting: Setting) -> None:
    token = tokens.signer.token("tess")
    assert (await tokens.revoke(token, digest(token))).status_code == 200
    with process.running(setting.environment(), setting.folder / "restarted.log") as restarted:
        async with user_client(restarted, token) as client:
            assert (await client.get("/reservations")).json() == WRONG


@pytest.mark.alone
async def test_a_known_token_is_revoked_until_it_would_have_expired(tokens: Tokens, world: World) -> None:
    by, known = tokens.signer.token("ursula"), tokens.signer.token("ursula", org="x")
    expires = stamp(time.time() + 3600)
    spec = {"sha256": digest(known), "user": "ursula", "issued": stamp(time.time()), "expires": expires}
    body = {"apiVersion": API_VERSION, "kind": "IssuedToken", "metadata": {"name": digest(known)}, "spec": spec}
    await world.client.create(IssuedToken.api(), world.namespaces.access, body)
    for _ in range(2):
        assert (await tokens.revoke(by, digest(known))).status_code == 200
    await tokens.end_at_once(known)
    assert await tokens.answers(by) == [200, 200]
    revocation = await stored(world, digest(known), "ursula")
    assert revocation.spec.expires == expires
    assert IN_ADVANCE_LABEL not in revocation.metadata.labels


async def test_a_revocation_that_would_end_too_early_gets_another_beside_it(tokens: Tokens, world: World) -> None:
    """As `berth token revoke --expires` makes them, where somebody was wrong about how long the token lives."""
    known, expires = tokens.signer.token("uta", org="x"), stamp(time.time() + 3600)
    spec = {"sha256": digest(known), "user": "uta", "issued": stamp(time.time()), "expires": expires}
    body = {"apiVersion": API_VERSION, "kind": "IssuedToken", "metadata": {"name": digest(known)}, "spec": spec}
    await world.client.create(IssuedToken.api(), world.namespaces.access, body)
    early = {"sha256": digest(known), "expires": stamp(time.time() + 60)}
    body = {"apiVersion": API_VERSION, "kind": "TokenRevocation", "metadata": {"name": digest(known)}, "spec": early}
    await world.client.create(TokenRevocation.api(), world.namespaces.access, body)
    for _ in range(2):
        assert (await tokens.revoke(tokens.signer.token("root", su=True), digest(known))).status_code == 200
    found, _ = await world.client.list(
        TokenRevocation.api(), world.namespaces.access, fields={"spec.sha256": digest(known)}
    )
    assert sorted(obj["spec"]["expires"] for obj in found) == sorted([early["expires"], expires])


@pytest.mark.alone
async def test_an_unknown_token_is_revoked_in_advance_for_the_caller_only(tokens: Tokens, world: World) -> None:
    by, others = tokens.signer.token("vera"), tokens.signer.token("victor")
    own = tokens.signer.token("vera", org="later")
    for sha256 in (digest(own), digest(others)):
        assert (await tokens.revoke(by, sha256)).status_code == 200
    await tokens.end_at_once(own)
    assert await tokens.answers(others) == [200, 200]
    until = parse_time((await stored(world, digest(own), "vera")).spec.expires).timestamp()
    assert until == pytest.approx(time.time() + LONGEST_LIFE, abs=30)


@pytest.mark.alone
async def test_a_superuser_revokes_anyones(tokens: Tokens, world: World) -> None:
    victim = tokens.signer.token("walter")
    assert (await tokens.revoke(tokens.signer.token("root", su=True), digest(victim))).status_code == 200
    await tokens.end_at_once(victim)
    assert (await stored(world, digest(victim), None)).spec.user is None


@pytest.mark.alone
async def test_kubectl_revokes_too(tokens: Tokens, setting: Setting) -> None:
    victim = tokens.signer.token("xenia")
    assert await tokens.answers(victim) == [200, 200]
    manifest = f"""
apiVersion: {API_VERSION}
kind: TokenRevocation
metadata: {{name: by-hand, namespace: {setting.namespaces.access}}}
spec: {{sha256: {digest(victim)}, user: xenia, expires: "2030-01-01T00:00:00Z"}}
"""
    await asyncio.to_thread(setting.server.kubectl, "create", "-f", "-", stdin=manifest)

    async def refused() -> bool:
        return await tokens.answers(victim) == [400, 400]

    await eventually(refused, EFFECT_SECONDS)


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"sc": ["r"]}, "token scope does not permit change"),
        ({"in": "00000000-0000-4000-8000-000000000001"}, "token already constrained to another instance"),
    ],
)
@pytest.mark.alone
async def test_a_lesser_token_ends_itself_only(tokens: Tokens, claims: dict[str, object], message: str) -> None:
    lesser, other = tokens.signer.token("yara", **claims), tokens.signer.token("yara", org=str(claims))
    refused = await tokens.revoke(lesser, digest(other))
    assert (refused.status_code, refused.json()["error_message"]) == (400, message)
    assert await tokens.answers(other) == [200, 200]
    assert (await tokens.revoke(lesser, digest(lesser))).status_code == 200
    await tokens.end_at_once(lesser)


@pytest.mark.parametrize("sha256", ["0" * 63, "0" * 65, "g" * 64, "0" * 63 + "%0a", "", "0" * 64 + "/"])
async def test_what_is_no_sha256_is_no_command(alice: httpx.AsyncClient, sha256: str) -> None:
    answer = await alice.post(f"/revoke/{sha256}")
    assert (answer.status_code, answer.json()) == (400, UNRECOGNIZED)


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer x"}, {"Authorization": "Basic YWxpY2U6eA=="}])
async def test_without_a_token_nothing_is_revoked(http: httpx.AsyncClient, header: dict[str, str]) -> None:
    answer = await http.post(f"/revoke/{'0' * 64}", headers=header)
    assert (answer.status_code, answer.json()) == (400, FAILED)


async def test_there_is_a_most_in_advance(tokens: Tokens, world: World) -> None:
    token, namespace = tokens.signer.token("zoe"), world.namespaces.access
    batch = asyncio.Semaphore(32)

    async def make(number: int) -> None:
        sha256 = digest(f"unknown {number}")
        body = {
            "apiVersion": API_VERSION,
            "kind": "TokenRevocation",
            "metadata": {"name": ids.revocation(sha256, "zoe"), "labels": {IN_ADVANCE_LABEL: "zoe"}},
            "spec": {"sha256": sha256, "user": "zoe", "expires": "2030-01-01T00:00:00Z"},
        }
        async with batch:
            await world.client.create(TokenRevocation.api(), namespace, body)

    await asyncio.gather(*(make(number) for number in range(995)))

    async def is_heard_of() -> bool:
        return (await tokens.revoke(token, digest("unknown 994"))).status_code == 200

    await eventually(is_heard_of)
    own = [(await tokens.revoke(token, digest(f"unknown {number}"))).status_code for number in range(990, 1000)]
    assert own == [200] * 10
    both = await asyncio.gather(*(tokens.revoke(token, digest(f"unknown {number}")) for number in range(998, 1004)))
    assert [answer.status_code for answer in both] == [200, 200, 400, 400, 400, 400]
    assert "1000 unknown tokens" in both[-1].json()["error_message"]
    other = tokens.signer.token("zacharias")
    assert (await tokens.revoke(other, digest("unknown 1002"))).status_code == 200
    assert (await tokens.revoke(token, digest(token))).status_code == 200
