"""The API process is killed right after each of its writes in turn; the client asks another one again.

The unfinished work of the dead process is finished, or undone after 30 s. In the end there is one instance and one
lease, as without a kill, but for the number of the lease. Several kills are waited for at the same time.
"""

import asyncio
import difflib
import time
from pathlib import Path

import httpx
import pytest

from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import make_namespaces

from ..envtest.operator.lab import DEPLOYMENTS, INSTANCES, condition, is_tombstone
from .dump import any_epoch, dump
from .proxy import Write
from .release import Release, Served, release
from .waiting import until

pytestmark = [pytest.mark.apiserver, pytest.mark.release(twin="tests/envtest/api/test_s1_idempotency_over_failures.py")]

POINTS = {"": 3, "one-and-the-same": 5}
"""By Idempotency-Key: writes of an undisturbed POST /new, at the least."""
UNDONE_SECONDS = {"": 60.0, "one-and-the-same": 150.0}
"""By Idempotency-Key: a repeat with one waits 60 s, until the first request surely counts as dead. It waits
as long again where a slow cluster hides the objects that the repeat made itself."""
TICK = 0.5
SIDE_BY_SIDE = 3
"""Each with an operator and two API processes, which are ready late where all start at once."""


async def asked(served: Served, user: httpx.AsyncClient, key: str) -> httpx.Response | None:
    """Ask for an instance; the answer, or None where there is none."""
    headers = {"Idempotency-Key": key} if key else {}
    try:
        return await user.post(f"{served.url}/new/bench", headers=headers)
    except httpx.TransportError:
        return None


async def insist(made: Release, user: httpx.AsyncClient, key: str) -> None:
    """Ask another process until the user has an instance; without a key, look first whether the user has one."""
    second = await made.serve()
    deadline = time.monotonic() + UNDONE_SECONDS[key]
    while True:
        if not key and (await user.get(f"{second.url}/instances")).json().get("workspace_instances"):
            return
        answer = await asked(second, user, key)
        assert answer is not None
        if answer.status_code == 200:
            return
        assert time.monotonic() < deadline, f"refused for ever: {answer.status_code} {answer.text}"
        await asyncio.sleep(TICK)


async def end(made: Release) -> list[str]:
    """State once the one instance is bound and the operator writes no more."""
    found, _ = await made.lab.client.list(INSTANCES, made.lab.namespace)
    instances = [obj for obj in found if not is_tombstone(obj)]
    assert len(instances) == 1
    name = instances[0]["metadata"]["name"]
    await made.lab.until(INSTANCES, name, lambda obj: condition(obj, "Bound", "status") == "True", seconds=30)
    assert made.operator is not None
    quiet_for = made.operator.quiet_for
    await until(lambda: quiet_for() >= 1, "the operator writes no more", 30)
    return any_epoch(await dump(made.lab.client, made.namespaces))


async def played(server: ApiServer, folder: Path, key: str, write: int | None) -> tuple[list[str], list[Write], int]:
    """A request, with a kill after a write: what there is in the end, the writes, and the epoch."""
    namespaces = await asyncio.to_thread(make_namespaces, server)
    async with release(server, namespaces, folder) as made, made.user("ada") as user:
        await made.operate()
        first = await made.serve()
        await made.lab.type()
        await made.lab.deployment("one")
        await made.listed(user, "bench", 1)
        first.proxy.forget()
        if write is not None:
            first.proxy.kill_after(write, first.process)
        done = await asked(first, user, key)
        writes = list(first.proxy.writes)
        if write is None:
            assert done is not None
            assert done.status_code == 200, done.text
        if write is not None:
            assert done is None
            assert first.proxy.struck.is_set(), f"there was no write {write}: {writes}"
            await insist(made, user, key)
        found = await end(made)
        return found, writes, int((await made.lab.get(DEPLOYMENTS, "one"))["status"]["epoch"])


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("key", ["", "one-and-the-same"], ids=["no-key", "key"])
async def test_a_kill_after_any_write_of_a_launch_comes_to_the_same_end(
    apiserver: ApiServer, tmp_path: Path, key: str
) -> None:
    wanted, writes, epoch = await played(apiserver, tmp_path / "undisturbed", key, None)
    assert epoch == 1
    assert len(writes) >= POINTS[key], f"{len(writes)} writes were found: {POINTS[key]} there must be"
    turns = asyncio.Semaphore(SIDE_BY_SIDE)

    async def killed_after(write: int) -> tuple[list[str], list[Write], int]:
        async with turns:
            return await played(apiserver, tmp_path / str(write), key, write)

    runs = map(killed_after, range(1, len(writes) + 1))
    for write, (found, _, taken) in zip(writes, await asyncio.gather(*runs), strict=True):
        difference = "\n".join(difflib.unified_diff(wanted, found, "undisturbed", "disturbed", lineterm="", n=6))
        assert not difference, f"after {write}:\n{difference}"
        assert taken <= 2
