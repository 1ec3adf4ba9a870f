"""Contract §2, counters in Redis: exact over replicas, and no worse than without it when it is away."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from promised import promised
from structlog.testing import capture_logs

from berth_api.auth.identity import Identity
from berth_api.config import RateLimit
from berth_api.ratelimit import Limiter
from berth_api.ratelimit.limiter import AT_ONCE

from . import process, redis
from .conftest import TIMEOUT, Setting
from .process import Api
from .redis import RedisServer
from .signing import Signer
from .test_s2_rate_limits import Told, client, crowd, hammer, need_exact

pytestmark = pytest.mark.apiserver

PER_TOKEN = 500
PASSWORD = "hush-hush"
PEER = ip_address("203.0.113.7")
BACK_SECONDS = 30
PATIENTLY = "?socket_timeout=10"
"""On a busy machine a quarter of a second can pass for no fault of the server's, and counts would not be exact."""
HASTILY = "?socket_timeout=3"
"""For the one that is to find out that its server hangs."""


@dataclass(frozen=True)
class Replicas:
    """Two processes, a hasty one, and the server that counts for all."""

    one: Api
    other: Api
    hasty: Api
    server: RedisServer


@pytest.fixture(scope="module")
def replicas(setting: Setting) -> Iterator[Replicas]:
    with redis.running(setting.folder, password=PASSWORD) as server:

        def settings(scheme: str, options: str = PATIENTLY) -> dict[str, str]:
            return setting.environment(
                BERTH_RATE_LIMIT_PER_TOKEN=str(PER_TOKEN),
                BERTH_RATE_LIMIT_REDIS_URL=server.url(scheme) + options,
            )

        with (
            process.running(settings("redis"), setting.folder / "one.log") as one,
            process.running(settings("valkey"), setting.folder / "other.log") as other,
            process.running(settings("redis", HASTILY), setting.folder / "hasty.log") as hasty,
        ):
            yield Replicas(one, other, hasty, server)


async def metric(api: Api, name: str) -> float:
    async with httpx.AsyncClient(timeout=TIMEOUT) as http:
        text = (await http.get(api.metrics_url)).text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


async def counts_in(server: RedisServer, http: httpx.AsyncClient, api: Api) -> None:
    """Wait until the process says that its store is back, and one request was counted there."""
    deadline = time.monotonic() + BACK_SECONDS
    while await metric(api, "berth_api_rate_limit_store_away"):
        assert time.monotonic() < deadline, "the store was not taken up again"
        assert (await http.get("/workspaces")).status_code == 200
    assert (await http.get("/workspaces")).status_code == 200
    assert any(key.startswith("berth:token/") for key in server.keys())


@pytest.mark.release(
    twin="tests/envtest/api/test_s2_rate_limits.py::test_64_parallel_clients_get_each_m_once_and_n_requests_in_all"
)
async def test_n_requests_pass_over_two_replicas_under_64_parallel_clients(replicas: Replicas, signer: Signer) -> None:
    async with crowd(replicas.one, replicas.other, token=signer.token("parallel")) as clients:
        need_exact(await hammer(clients, PER_TOKEN + 50), PER_TOKEN)
    assert all(key.startswith("berth:") for key in replicas.server.keys())


async def test_an_outage_fails_no_request_and_is_told_once(replicas: Replicas, signer: Signer) -> None:
    server, api = replicas.server, replicas.hasty
    before = api.log.read_text()
    token = signer.token("patient")
    async with crowd(api, token=token) as clients:
        assert Told.by(await clients[0].get("/workspaces")).remaining == PER_TOKEN - 1
        with server.frozen():
            began = time.monotonic()
            answers = await hammer(clients, 64)
            assert time.monotonic() - began < 3 + promised(5), "48 s, where each waits in its turn"
            assert await metric(api, "berth_api_rate_limit_store_away") == 1
        told = [Told.by(answer) for answer in answers]
        assert sorted(t.remaining for t in told) == list(range(PER_TOKEN - 64, PER_TOKEN))
        assert {t.status for t in told} == {200}
        await counts_in(server, clients[0], api)
        # The server's earlier count still stands.
        assert Told.by(await clients[0].get("/workspaces")).remaining < PER_TOKEN - 2
    new = api.log.read_text().removeprefix(before)
    assert new.count("rate limit store does not answer") == 1
    assert new.count("rate limit store answers again") == 1


async def test_a_server_that_was_lost_and_comes_back_counts_again(replicas: Replicas, signer: Signer) -> None:
    server, api = replicas.server, replicas.other
    async with client(api, token=signer.token("loyal")) as http:
        for _ in range(3):
            await http.get("/workspaces")
        server.stop()
        assert Told.by(await http.get("/workspaces")).remaining == PER_TOKEN - 1
        server.start()
        await counts_in(server, http, api)
    for told in (replicas.one, replicas.other, replicas.hasty):
        assert PASSWORD not in told.log.read_text()


@pytest.mark.alone
async def test_a_request_waits_a_quarter_of_a_second_for_a_server_that_hangs(replicas: Replicas) -> None:
    with replicas.server.frozen():
        async with limiter(replicas.server.url(), per_peer=11) as asking:
            began = time.monotonic()
            assert (await asking.take(None, PEER)).remaining == 10
            assert 0.2 < time.monotonic() - began < promised(2)
            began = time.monotonic()
            assert [(await asking.take(None, PEER)).remaining for _ in range(10)] == list(range(9, -1, -1))
            assert time.monotonic() - began < promised(0.2), "2.5 s, where each waits"


@asynccontextmanager
async def limiter(url: str, *, per_peer: int = 3, keys_per_user: int = 1) -> AsyncIterator[Limiter]:
    made = Limiter(
        RateLimit(1, per_peer, 3600, 429, superusers_exempt=False, redis_url=url, keys_per_user=keys_per_user)
    )
    yield made
    await made.close()


async def test_a_server_that_is_away_is_asked_seldom() -> None:
    asked: list[float] = []

    def later() -> list[float]:
        return [at for at in asked if at - asked[0] > 0.4]

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(time.monotonic())
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        async with limiter(f"redis://127.0.0.1:{port}", per_peer=10**7) as asking, asyncio.timeout(20):
            while len(later()) < 2:
                assert (await asking.take(None, PEER)).passes
                await asyncio.sleep(0)
    # Requests under way when the store was lost; then probes after 0.5 s and after 1 s more, and nothing in between.
    first, second = later()
    assert len(asked) - 2 <= AT_ONCE
    assert first - asked[0] >= 0.5
    assert second - first >= 1


async def test_a_wrong_password_is_told_without_the_password(replicas: Replicas) -> None:
    url = replicas.server.url().replace(PASSWORD, "wrong-wrong") + PATIENTLY
    with capture_logs() as logs:
        async with limiter(url) as asking:
            assert [(await asking.take(None, PEER)).remaining for _ in range(3)] == [2, 1, 0]
            assert not (await asking.take(None, PEER)).passes
    assert [entry["error"] for entry in logs] == ["AuthenticationError"]
    assert "wrong-wrong" not in str(logs)


async def test_windows_in_redis_have_one_t_and_end(replicas: Replicas) -> None:
    settings = RateLimit(1, 2, 1, 429, superusers_exempt=False, redis_url=replicas.server.url() + PATIENTLY)
    asking = Limiter(settings)
    looked = await asking.look(None, PEER)
    assert (looked.remaining, looked.passes) == (1, True)
    windows: dict[int, list[int]] = {}

    def used_up() -> list[int]:
        """The T of those windows that are over and refused something."""
        return [reset for reset in list(windows)[:-1] if -1 in windows[reset]]

    async with asyncio.timeout(60):
        while len(used_up()) < 2:
            allowance = await asking.take(None, PEER)
            windows.setdefault(allowance.reset, []).append(allowance.remaining if allowance.passes else -1)
    await asking.close()
    for told in windows.values():
        assert told == [1, 0, *([-1] * len(told))][: len(told)]


async def test_a_look_in_redis_takes_nothing(replicas: Replicas) -> None:
    async with limiter(replicas.server.url() + PATIENTLY) as asking:
        first = await asking.take(None, PEER)
        one, other = await asking.look(None, PEER), await asking.look(None, PEER)
        assert replace(one, wait=other.wait) == other, "but for the seconds until then, which pass"
        assert (await asking.look(None, PEER)).remaining == first.remaining == 2
        assert (await asking.take(None, PEER)).remaining == 1
        for _ in range(3):
            last = await asking.take(None, PEER)
        assert not last.passes
        assert (await asking.look(None, PEER)).passes


async def test_a_record_that_is_given_back_is_so_for_all_replicas(tmp_path: Path) -> None:
    who = Identity(user="alice", digest="0" * 64, expires=2e9)
    with redis.running(tmp_path, password=PASSWORD) as server:
        url = server.url() + PATIENTLY
        async with limiter(url, keys_per_user=2) as one, limiter(url, keys_per_user=2) as other:
            taken = [await asking.take_key(who) for asking in (one, other, one)]
            assert [allowance.passes for allowance in taken] == [True, True, False]
            for allowance in taken[1:]:
                await one.give_key_back(who, allowance)
            await other.give_key_back(who, replace(taken[0], reset=taken[0].reset - 1))
            assert [(await other.take_key(who)).passes for _ in range(2)] == [True, False]


def write_certificate(folder: Path) -> None:
    """A certificate for the loopback address that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "redis")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    (folder / "tls.crt").write_bytes(certificate.public_bytes(pem))
    form, secret = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "tls.key").write_bytes(key.private_bytes(pem, form, secret))


async def test_the_connection_can_be_tls(tmp_path: Path) -> None:
    write_certificate(tmp_path)
    with redis.running(tmp_path, password=PASSWORD, tls=True) as server:
        async with (
            limiter(f"{server.url('rediss')}&socket_timeout=5") as one,
            limiter(f"{server.url('valkeys')}&socket_timeout=5") as other,
        ):
            taken = [(await asking.take(None, PEER)).remaining for asking in (one, other, one)]
    assert taken == [2, 1, 0]
