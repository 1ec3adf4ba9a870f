"""Contract §2: what N, M and T are under load, whose requests count, what a refusal says."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise

import httpx
import pytest

from . import process
from .conftest import Setting, made
from .process import Api
from .signing import Signer
from .world import World, eventually

pytestmark = pytest.mark.apiserver

PER_TOKEN = 200
PER_PEER = 5
PROXY = "127.0.0.99"
NOTHING = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Told:
    """Status and rate limit headers of an answer."""

    status: int
    limit: int
    remaining: int
    reset: int

    @classmethod
    def by(cls, answer: httpx.Response) -> "Told":
        """Read the headers; every one must be there."""
        numbers = (int(answer.headers[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset"))
        told = cls(answer.status_code, *numbers)
        assert 0 <= told.remaining < told.limit
        return told


def client(api: Api, *, address: str | None = None, token: str | None = None) -> httpx.AsyncClient:
    """A client with an address on loopback of its own, so that tests do not count for each other."""
    # Nothing here is TLS: without `verify` a client is made in no time.
    transport = httpx.AsyncHTTPTransport(local_address=address, verify=False)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(base_url=api.url, transport=transport, timeout=20, headers=headers)


@asynccontextmanager
async def crowd(*apis: Api, token: str) -> AsyncIterator[list[httpx.AsyncClient]]:
    """64 clients, spread over the processes."""
    async with AsyncExitStack() as stack:
        clients = [client(apis[number % len(apis)], token=token) for number in range(64)]
        yield [await stack.enter_async_context(one) for one in clients]


async def hammer(clients: list[httpx.AsyncClient], requests: int) -> list[httpx.Response]:
    """Send requests from all clients at once, each of them one after another."""
    numbers = iter(range(requests))
    answers: list[httpx.Response] = []

    async def work(http: httpx.AsyncClient) -> None:
        for _ in numbers:
            answers.append(await http.get("/workspaces"))

    async with asyncio.TaskGroup() as group:
        for http in clients:
            group.create_task(work(http))
    return answers


def need_exact(answers: list[httpx.Response], limit: int) -> None:
    """Exactly N pass, each M once, one T; the rest are refused until T."""
    told = [Told.by(answer) for answer in answers]
    assert {t.limit for t in told} == {limit}
    assert len({t.reset for t in told}) == 1
    assert sorted(t.remaining for t in told if t.status == 200) == list(range(limit))
    assert {(t.status, t.remaining) for t in told if t.status != 200} == {(429, 0)}


@pytest.fixture(scope="module")
def limited(setting: Setting) -> Iterator[Api]:
    settings = setting.environment(
        BERTH_RATE_LIMIT_PER_TOKEN=str(PER_TOKEN),
        BERTH_RATE_LIMIT_PER_PEER=str(PER_PEER),
        BERTH_TRUSTED_PROXIES=f"{PROXY}/32",
        BERTH_ALLOWED_ORIGINS="https://lab.example.test",
    )
    with process.running(settings, setting.folder / "limited.log") as running:
        yield running


async def test_64_parallel_clients_get_each_m_once_and_n_requests_in_all(limited: Api, signer: Signer) -> None:
    async with crowd(limited, token=signer.token("parallel")) as clients:
        need_exact(await hammer(clients, PER_TOKEN + 100), PER_TOKEN)


async def test_a_refusal_says_what_to_do_and_when(limited: Api) -> None:
    async with client(limited, address="127.0.0.11") as http:
        passed = [Told.by(await http.get("/workspaces")) for _ in range(PER_PEER)]
        assert [t.remaining for t in passed] == list(range(PER_PEER - 1, -1, -1))
        before = time.time()
        refused = await http.get("/workspaces")
        after = time.time()
        launching = await http.post("/new/some_type")
    assert Told.by(refused) == Told(429, PER_PEER, 0, passed[0].reset)
    wait = int(refused.headers["Retry-After"])
    assert 3590 < wait <= 3600
    assert before + wait - 3 < passed[0].reset < after + wait + 3
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(passed[0].reset))
    message = f"too many requests; try again after {until}"
    assert refused.json() == {"error_message": message}
    assert launching.json() == {"error_message": message, "error": message}
    assert refused.headers["RateLimit-Policy"] == f'"default";q={PER_PEER};w=3600'
    assert refused.headers["RateLimit"] == f'"default";r=0;t={wait}'
    assert refused.headers["X-Request-Id"]


async def test_errors_carry_the_headers_and_count_too(limited: Api) -> None:
    async with client(limited, address="127.0.0.12") as http:
        answers = [
            await http.get("/nowhere"),
            await http.post("/workspaces"),
            await http.get(f"/deployment/{NOTHING}"),
            await http.get("/", headers={"Accept": "application/vnd.rerobots.v9+json"}),
            await http.get("/instances"),
        ]
    assert [answer.status_code for answer in answers] == [400, 400, 404, 406, 400]
    assert [Told.by(answer).remaining for answer in answers] == [4, 3, 2, 1, 0]


async def test_each_token_counts_for_itself_and_a_bad_one_for_its_address(limited: Api, signer: Signer) -> None:
    async with client(limited, address="127.0.0.13") as http:
        for number in range(PER_PEER + 1):
            bad = await http.get("/instances", headers={"Authorization": f"Bearer a.b.{number}"})
            assert Told.by(bad).limit == PER_PEER
        assert bad.status_code == 429
        for _ in range(2):
            good = await http.get("/instances", headers={"Authorization": f"Bearer {signer.token('one', jti='x')}"})
            assert good.status_code == 200
        other = await http.get("/instances", headers={"Authorization": f"Bearer {signer.token('one', jti='y')}"})
    assert Told.by(other).remaining == PER_TOKEN - 1
    async with client(limited, address="127.0.0.14") as elsewhere:
        assert Told.by(await elsewhere.get("/workspaces")).remaining == PER_PEER - 1


async def test_service_routes_are_not_limited(limited: Api, signer: Signer) -> None:
    token = {"Authorization": f"Bearer {signer.token('keeper')}"}
    async with client(limited, address="127.0.0.15") as http:
        for _ in range(PER_PEER + 2):
            for path in ("/healthz", "/readyz", "/openapi.json", "/docs"):
                answer = await http.get(path)
                assert answer.status_code == 200
                assert not [name for name in answer.headers if "ratelimit" in name]
        assert Told.by(await http.get("/workspaces", headers=token)).remaining == PER_TOKEN - 1
        assert Told.by(await http.get("/workspaces")).remaining == PER_PEER - 1


async def test_preflights_take_nothing_and_say_what_is_left(limited: Api) -> None:
    ask = {"Origin": "https://lab.example.test", "Access-Control-Request-Method": "GET"}
    async with client(limited, address="127.0.0.16") as http:
        assert Told.by(await http.options("/workspaces", headers=ask)).remaining == PER_PEER - 1
        first = Told.by(await http.get("/workspaces"))
        for _ in range(PER_PEER):
            look = Told.by(await http.options("/workspaces", headers=ask))
            assert look == first
        for _ in range(PER_PEER):
            last = await http.get("/workspaces")
        assert last.status_code == 429
        assert Told.by(await http.options("/workspaces", headers=ask)) == Told(200, PER_PEER, 0, first.reset)


async def test_without_a_trusted_proxy_nobody_counts_for_another_address(limited: Api) -> None:
    async with client(limited, address="127.0.0.17") as http:
        for number in range(PER_PEER + 1):
            answer = await http.get("/workspaces", headers={"X-Forwarded-For": f"198.51.100.{number}"})
    assert answer.status_code == 429


async def test_behind_a_trusted_proxy_the_right_most_untrusted_hop_counts(limited: Api) -> None:
    async def remaining(forwarded: str) -> int:
        return Told.by(await http.get("/workspaces", headers={"X-Forwarded-For": forwarded})).remaining

    async with client(limited, address=PROXY) as http:
        assert await remaining("203.0.113.1") == 4
        assert await remaining("198.51.100.1, 203.0.113.1") == 3
        assert await remaining(f"198.51.100.2, 203.0.113.1, {PROXY}") == 2
        assert await remaining("198.51.100.1") == 4
        assert await remaining("2001:db8::1") == 4
        assert await remaining("2001:db8::2:3:4:5") == 3
        assert await remaining("2001:db8:0:1::1") == 4


WINDOW = 2
SMALL = 40


@pytest.fixture(scope="module")
def short(setting: Setting) -> Iterator[Api]:
    settings = setting.environment(
        BERTH_RATE_LIMIT_PER_TOKEN=str(SMALL),
        BERTH_RATE_LIMIT_WINDOW=str(WINDOW),
        BERTH_RATE_LIMIT_REFUSAL_STATUS="403",
        BERTH_RATE_LIMIT_SUPERUSERS_EXEMPT="true",
    )
    with process.running(settings, setting.folder / "short.log") as running:
        yield running


@pytest.mark.release(
    twin="tests/envtest/api/test_s2_rate_limits.py::test_64_parallel_clients_get_each_m_once_and_n_requests_in_all"
)
async def test_m_stays_below_n_while_windows_end_under_64_parallel_clients(short: Api, signer: Signer) -> None:
    windows: dict[int, list[Told]] = defaultdict(list)
    deadline = time.monotonic() + 60

    def used_up() -> list[int]:
        """The T of those windows that are over and refused something."""
        return [reset for reset in sorted(windows)[:-1] if any(told.status != 200 for told in windows[reset])]

    async def work(http: httpx.AsyncClient) -> None:
        while len(used_up()) < 2:
            assert time.monotonic() < deadline, "no two windows were used up"
            answer = await http.get("/workspaces")
            told = Told.by(answer)
            windows[told.reset].append(told)
            if told.status != 200:
                assert 1 <= int(answer.headers["Retry-After"]) <= WINDOW

    async with crowd(short, token=signer.token("steady")) as clients, asyncio.TaskGroup() as group:
        for http in clients:
            group.create_task(work(http))
    for reset in used_up():
        assert sorted(told.remaining for told in windows[reset] if told.status == 200) == list(range(SMALL))
        assert {(told.status, told.remaining) for told in windows[reset] if told.status != 200} == {(403, 0)}
    # The next window begins when the one before has ended, not earlier.
    assert all(later - reset >= WINDOW for reset, later in pairwise(sorted(windows)))


async def test_superusers_can_be_exempt(short: Api, signer: Signer) -> None:
    async with crowd(short, token=signer.token("root", su=True)) as clients:
        for answer in await hammer(clients, 2 * SMALL):
            assert Told.by(answer).remaining == SMALL - 1
            assert answer.status_code == 200


async def test_a_ping_counts_where_it_finds_nothing_of_the_callers(
    setting: Setting, signer: Signer, world: World
) -> None:
    settings = setting.environment(
        BERTH_RATE_LIMIT_PER_TOKEN="4",
        BERTH_RATE_LIMIT_PER_PEER=str(PER_PEER),
        BERTH_RATE_LIMIT_SUPERUSERS_EXEMPT="true",
    )
    async with AsyncExitStack() as stack:
        few = await stack.enter_async_context(
            process.in_thread(process.running(settings, setting.folder / "pings.log"))
        )
        pia, root, nobody = [
            await stack.enter_async_context(one)
            for one in (
                client(few, token=signer.token("pia")),
                client(few, token=signer.token("root", su=True)),
                client(few, address=PROXY),
            )
        ]
        with world.heard_at(root):
            kind = await world.type(deployments=1)
        taken = await made(pia, kind, keepalive=True)

        async def ping(instance: str, by: httpx.AsyncClient = pia) -> int:
            return (await by.post(f"/instance/{instance}/ka")).status_code

        async def is_free() -> bool:
            return "X-RateLimit-Limit" not in (await root.post(f"/instance/{taken}/ka")).headers

        await eventually(is_free)
        assert [await ping(NOTHING) for _ in range(5)] == [404] * 3 + [429] * 2
        assert [await ping(taken) for _ in range(8)] == [200] * 8
        assert [await ping(taken, nobody) for _ in range(PER_PEER + 1)] == [400] * PER_PEER + [429]


async def test_a_ping_counts_where_its_instance_has_ended_or_needs_none(
    setting: Setting, signer: Signer, world: World
) -> None:
    settings = setting.environment(BERTH_RATE_LIMIT_PER_TOKEN="4", BERTH_RATE_LIMIT_SUPERUSERS_EXEMPT="true")
    running = process.running(settings, setting.folder / "late-pings.log")
    async with process.in_thread(running) as few, client(few, token=signer.token("root", su=True)) as root:
        with world.heard_at(root):
            kind = await world.type(deployments=2)
        kept, unkept = [await made(root, kind, keepalive=wish) for wish in (True, False)]
        owner, reader, other = [
            signer.token("root", jti=one, **claims) for one, claims in (("a", {}), ("b", {"sc": ["read"]}), ("c", {}))
        ]

        async def statuses(token: str, instance: str) -> list[int]:
            async with client(few, token=token) as http:
                return [(await http.post(f"/instance/{instance}/ka")).status_code for _ in range(6)]

        async def is_free() -> bool:
            answer = await root.post(f"/instance/{kept}/ka")
            return answer.status_code == 200 and "X-RateLimit-Limit" not in answer.headers

        async def is_refused() -> bool:
            return (await root.post(f"/instance/{kept}/ka")).status_code == 400

        await eventually(is_free)
        assert await statuses(owner, kept) == [200] * 6
        assert await statuses(reader, kept) == [400] * 4 + [429] * 2
        assert await statuses(other, unkept) == [404] * 4 + [429] * 2
        await world.as_operator(kept, reason="Terminated", conditions={"Ended": "True"})
        await eventually(is_refused)
        assert await statuses(owner, kept) == [400] * 4 + [429] * 2
