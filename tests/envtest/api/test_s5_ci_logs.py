"""Contract §5, "CI": logs, whole and followed, and artifacts."""

import asyncio
import hashlib
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest
import pytest_asyncio
from promised import promised

from berth_api.builds.followers import MOST_OF_A_USER
from berth_core import ids
from berth_core.resources import Build, TokenRevocation, TokenRevocationSpec, manifest

from . import process
from .ci import Event, artifacts_of, as_operator, asked, end, following, log_of
from .conftest import Setting, user_client
from .kubelet import Kubelet, playing
from .process import Api
from .signing import Signer
from .world import World, eventually

pytestmark = pytest.mark.apiserver

STARTED = "2026-01-01T00:00:00Z"


@pytest_asyncio.fixture(scope="module")
async def kubelet(world: World, setting: Setting) -> AsyncIterator[Kubelet]:
    async with playing(world, setting.server) as played:
        yield played


def path_of(ns: str, jid: str) -> str:
    return f"/ci/project/{ns}/job/{jid}/log"


async def some(events: AsyncIterator[Event], number: int) -> list[Event]:
    """The next events; comments are left out."""
    found = list[Event]()
    async with asyncio.timeout(30):
        while len(found) < number:
            event = await anext(events)
            if event.name != "comment":
                found.append(event)
    return found


def line(number: int, text: str) -> Event:
    return Event("message", text, number)


def status(word: str) -> Event:
    return Event("status", word)


async def test_a_log_that_was_kept_is_read_and_followed(world: World, alice: httpx.AsyncClient) -> None:
    jid = await asked(alice, "kept")
    path = path_of("kept", jid)
    text = "".join(f"line {number}\n" for number in range(1, 1001)) + "no end"
    await end(world, jid, log=await log_of(world, jid, text.encode()))
    answer = await alice.get(path)
    assert (answer.status_code, answer.text) == (200, text)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    async with following(alice, path) as events:
        found = [event async for event in events]
    lines = [line(number, one) for number, one in enumerate(text.split("\n"), 1)]
    assert found == [status("passed"), *lines, Event("end", "passed")]
    async with following(alice, path, after=990) as events:
        found = [event async for event in events]
    assert found == [status("passed"), *lines[990:], Event("end", "passed")]


async def test_lines_that_were_not_kept_count(world: World, alice: httpx.AsyncClient) -> None:
    jid = await asked(alice, "cut")
    await end(world, jid, "ScriptFailed", log=await log_of(world, jid, b"eleven\ntwelve\n"), logSkipped=10)
    async with following(alice, path_of("cut", jid), after=11) as events:
        found = [event async for event in events]
    assert found == [status("failed"), line(12, "twelve"), Event("end", "failed")]


async def test_a_log_that_was_deleted_is_missing(world: World, alice: httpx.AsyncClient) -> None:
    jid = await asked(alice, "lost")
    await end(world, jid, log=["b-nowhere-1-log-0"])
    answer = await alice.get(path_of("lost", jid))
    assert (answer.status_code, answer.json()) == (404, {"error_message": "the log of this build was deleted"})


async def test_a_build_that_printed_nothing(world: World, alice: httpx.AsyncClient) -> None:
    jid = await asked(alice, "silent")
    path = path_of("silent", jid)
    assert (await alice.get(path)).content == b""
    await end(world, jid, "Canceled")
    assert (await alice.get(path)).content == b""
    async with following(alice, path) as events:
        assert [event async for event in events] == [status("canceled"), Event("end", "canceled")]


async def test_a_log_is_followed_from_the_queue_to_the_end(
    world: World, alice: httpx.AsyncClient, kubelet: Kubelet
) -> None:
    jid = await asked(alice, "live")
    path = path_of("live", jid)
    async with following(alice, path) as events:
        assert await some(events, 1) == [status("queued")]
        fetch = await kubelet.pod(jid, "fetch")
        await as_operator(world, jid, startTime=STARTED)
        assert await some(events, 1) == [status("running")]
        kubelet.say(fetch, "fetch", "found main\n")
        await kubelet.run(fetch, "fetch")
        assert await some(events, 1) == [line(1, "found main")]
        kubelet.say(fetch, "fetch", "no line feed")
        await kubelet.end(fetch, "fetch")
        assert await some(events, 1) == [line(2, "no line feed")]
        run = await kubelet.pod(jid, "run")
        kubelet.say(run, "checkout", "cloned\n")
        await kubelet.run(run, "checkout")
        await kubelet.end(run, "checkout")
        await kubelet.run(run, "script")
        kubelet.say(run, "script", "$ make\n50%\r100%\r\n")
        assert await some(events, 3) == [line(3, "cloned"), line(4, "$ make"), line(5, "50%\n100%")]
        kubelet.say(run, "artifacts", "not shown\n")
        shown = "found main\nno line feed\ncloned\n$ make\n50%\r100%\r\n"
        assert (await alice.get(path)).text == shown
        # A stream that breaks is gone on with, and nothing comes twice.
        kubelet.say(run, "script", "half")
        kubelet.break_off(run, "script")
        kubelet.say(run, "script", " a line\nlast\n")
        assert await some(events, 2) == [line(6, "half a line"), line(7, "last")]
        kubelet.say(run, "script", "after the pod\n")
        await kubelet.streaming(1)
        assert await some(events, 1) == [line(8, "after the pod")]
        kept = shown + "half a line\nlast\nafter the pod\nseen by nobody\n"
        await kubelet.delete(run)
        kubelet.break_off(run, "script")
        await end(world, jid, log=await log_of(world, jid, kept.encode()))
        assert await some(events, 3) == [status("passed"), line(9, "seen by nobody"), Event("end", "passed")]
        assert [event async for event in events] == []
    await kubelet.delete(fetch)
    await kubelet.streaming(0)


async def test_who_comes_back_gets_the_lines_after_his_last(
    world: World, alice: httpx.AsyncClient, kubelet: Kubelet
) -> None:
    jid = await asked(alice, "back")
    await as_operator(world, jid, startTime=STARTED)
    fetch = await kubelet.pod(jid, "fetch")
    await kubelet.run(fetch, "fetch")
    kubelet.say(fetch, "fetch", "one\ntwo\n")
    async with following(alice, path_of("back", jid)) as events:
        assert await some(events, 3) == [status("running"), line(1, "one"), line(2, "two")]
    # A follower that has gone holds no stream.
    await kubelet.streaming(0)
    kubelet.say(fetch, "fetch", "three\n")
    async with following(alice, path_of("back", jid), after=2) as events:
        assert await some(events, 2) == [status("running"), line(3, "three")]
    await kubelet.delete(fetch)


async def test_what_a_pod_printed_that_is_gone_holds_nobody_up(
    world: World, alice: httpx.AsyncClient, kubelet: Kubelet
) -> None:
    jid = await asked(alice, "gone")
    await as_operator(world, jid, startTime=STARTED)
    run = await kubelet.pod(jid, "run")
    await kubelet.run(run, "script")
    kubelet.say(run, "script", "hello\n")
    async with following(alice, path_of("gone", jid)) as events:
        assert await some(events, 2) == [status("running"), line(1, "hello")]
    await kubelet.delete(run)


async def test_a_restart_ends_what_follows_the_attempt_before(world: World, alice: httpx.AsyncClient) -> None:
    jid = await asked(alice, "anew")
    await as_operator(world, jid, startTime=STARTED)
    async with following(alice, path_of("anew", jid)) as events:
        assert await some(events, 1) == [status("running")]
        body = {"spec": {"attempt": 2}}
        await world.client.patch(Build.api(), world.namespaces.workspaces, jid, body)
        assert await some(events, 2) == [status("canceled"), Event("end", "canceled")]


async def test_a_build_that_is_deleted_ends_what_follows_it(world: World, alice: httpx.AsyncClient) -> None:
    jid = await asked(alice, "deleted")
    async with following(alice, path_of("deleted", jid)) as events:
        assert await some(events, 1) == [status("queued")]
        await world.client.delete(Build.api(), world.namespaces.workspaces, jid)
        assert await some(events, 2) == [status("canceled"), Event("end", "canceled")]


async def test_a_token_that_is_revoked_follows_nothing_more(
    world: World, api: Api, signer: Signer, alice: httpx.AsyncClient, setting: Setting
) -> None:
    jid = await asked(alice, "revoked")
    token = signer.token("alice", jti="to be revoked")
    async with user_client(api, token) as client, following(client, path_of("revoked", jid)) as events:
        assert await some(events, 1) == [status("queued")]
        digest = _sha256(token)
        spec = TokenRevocationSpec(sha256=digest, user="alice", expires="2099-01-01T00:00:00Z")
        body = manifest(TokenRevocation, setting.namespaces.access, ids.revocation(digest, "alice"), spec)
        await world.client.create(TokenRevocation.api(), setting.namespaces.access, body)
        async with asyncio.timeout(promised(5)):
            assert [event async for event in events if event.name != "comment"] == []


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


async def test_a_process_that_is_to_end_lets_followers_go(
    setting: Setting, signer: Signer, alice: httpx.AsyncClient, world: World
) -> None:
    jid = await asked(alice, "shutdown")
    log = setting.folder / "ending.log"
    async with process.in_thread(process.running(setting.environment(), log)) as ending:
        client = user_client(ending, signer.token("alice"))
        async with client, following(client, path_of("shutdown", jid)) as events:
            assert await some(events, 1) == [status("queued")]
            begun = time.monotonic()
            ending.process.send_signal(signal.SIGTERM)
            assert [event async for event in events] == []
            await asyncio.to_thread(ending.process.wait, 30)
            assert time.monotonic() - begun < min(promised(10), 19), "20 s, where followers are not told"
    assert "Traceback" not in log.read_text()


async def test_a_user_follows_so_many_at_a_time(api: Api, signer: Signer) -> None:
    async with user_client(api, signer.token("follower")) as client:
        jid = await asked(client, "many")
        path = path_of("many", jid)
        streams = [client.stream("GET", f"{path}?follow") for _ in range(MOST_OF_A_USER)]
        for stream in streams:
            assert (await stream.__aenter__()).status_code == 200
        refused = await client.get(f"{path}?follow")
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) >= 1
        assert f"at most {MOST_OF_A_USER} logs" in refused.json()["error_message"]
        assert (await client.get(path)).status_code == 200
        for stream in streams:
            await stream.__aexit__(None, None, None)

        async def has_room() -> bool:
            async with client.stream("GET", f"{path}?follow") as answer:
                return answer.status_code == 200

        await eventually(has_room)


@pytest.mark.release(twin="tests/envtest/api/test_s5_ci_logs.py::test_a_log_is_followed_from_the_queue_to_the_end")
async def test_slow_readers_are_few_and_nothing_else_waits_for_them(
    world: World, api: Api, signer: Signer, kubelet: Kubelet, bob: httpx.AsyncClient
) -> None:
    async with user_client(api, signer.token("slow")) as client, AsyncExitStack() as stack:
        jid = await asked(client, "slow")
        path = path_of("slow", jid)
        await as_operator(world, jid, startTime=STARTED)
        fetch = await kubelet.pod(jid, "fetch")
        await kubelet.run(fetch, "fetch")
        kubelet.say(fetch, "fetch", "much of it\n" * 2_000_000)

        async def begun() -> httpx.Response:
            return await stack.enter_async_context(client.stream("GET", path))

        answers = [await begun() for _ in range(MOST_OF_A_USER + 5)]
        assert [answer.status_code for answer in answers] == [200] * MOST_OF_A_USER + [429] * 5
        assert int(answers[-1].headers["Retry-After"]) >= 1
        assert (await bob.get("/instances")).status_code == 200
    await kubelet.streaming(0)
    await kubelet.delete(fetch)


async def test_head_of_a_log_that_is_followed_ends(alice: httpx.AsyncClient) -> None:
    jid = await asked(alice, "head")
    async with asyncio.timeout(60):
        answer = await alice.head(f"{path_of('head', jid)}?follow")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


async def test_artifacts_come_as_they_were_packed(world: World, alice: httpx.AsyncClient) -> None:
    jid = await asked(alice, "packed")
    path = f"/ci/project/packed/job/{jid}/artifacts"
    answer = await alice.get(path)
    assert (answer.status_code, answer.json()) == (404, {"error_message": "no artifacts"})
    data = bytes(range(256)) * 1000
    left = await artifacts_of(world, jid, data)
    await end(world, jid, artifacts=left)
    answer = await alice.get(path)
    assert (answer.status_code, answer.content) == (200, data)
    assert answer.headers["content-type"] == "application/gzip"
    assert answer.headers["content-disposition"] == f'attachment; filename="{jid}-1.tar.gz"'
    shown = (await alice.get(path.removesuffix("/artifacts"))).json()["artifacts"]
    assert shown == {"size": len(data), "sha256": left["sha256"]}
    await as_operator(world, jid, artifacts=left | {"sha256": "0" * 64})
    answer = await alice.get(path)
    assert (answer.status_code, answer.json()["error_message"]) == (500, "internal error")


@pytest.mark.release(twin="tests/envtest/api/test_s5_ci_logs.py::test_a_log_is_followed_from_the_queue_to_the_end")
@pytest.mark.alone
async def test_a_log_that_says_nothing_gives_signs_of_life(alice: httpx.AsyncClient) -> None:
    jid = await asked(alice, "quiet")
    begun = time.monotonic()
    async with asyncio.timeout(10 + promised(10)), following(alice, path_of("quiet", jid)) as events:
        assert (await anext(events)).name == "status"
        while (await anext(events)).name != "comment":
            pass
    assert 5 < time.monotonic() - begun < 10 + promised(5)
