"""Design invariant I8: who writes through one replica reads it through another at once.

A client writes through one of two replicas and reads through the other, and the other way round the next time:
120 pairs for each route that writes something which can be read, 500 in `make test-faults`. Keep-alive pings cannot
be read; the end of tokens has its second by the contract (test_s3_tokens_revoked.py).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from promised import is_exact, promised

from berth_core.kube.types import Object
from berth_core.resources import WorkspaceDeployment
from berth_dev.envtest.testing import looked_at

from ...conftest import is_long
from .conftest import made, user_client
from .process import Api
from .signing import Signer
from .world import World, eventually

pytestmark = pytest.mark.apiserver

PAIRS: Final = 500 if is_long() else 120 if is_exact() else 8
CLIENTS: Final = 6
"""Clients that write and read at the same time; each has a list of its own, which stays short."""
WRITERS: Final = [f"writer-{number}" for number in range(CLIENTS)]

Pair = Callable[[httpx.AsyncClient, httpx.AsyncClient, int], Awaitable[None]]


@dataclass(frozen=True)
class Replicas:
    """Users, each of them at two replicas."""

    users: Sequence[tuple[httpx.AsyncClient, httpx.AsyncClient]]

    async def pairs(self, pair: Pair) -> None:
        """Run all pairs: users side by side, the pairs of one after another, the replicas in turn."""

        async def share(user: int) -> None:
            one, two = self.users[user]
            for turn, number in enumerate(range(user, PAIRS, CLIENTS)):
                writes, reads = (one, two) if turn % 2 else (two, one)
                await pair(writes, reads, number)

        await asyncio.gather(*(share(user) for user in range(CLIENTS)))


@pytest_asyncio.fixture(scope="module")
async def replicas(api: Api, second: Api, signer: Signer) -> AsyncIterator[Replicas]:
    async with AsyncExitStack() as stack:
        users = []
        for user in WRITERS:
            token = signer.token(user)
            one, two = [await stack.enter_async_context(user_client(replica, token)) for replica in (api, second)]
            users.append((one, two))
        yield Replicas(users)


async def machines(world: World, replicas: Replicas, count: int, **spec: Any) -> list[str]:
    """Make many deployments of a new type; answer their ids once both replicas list them."""
    type_name = await world.type()
    namespace, batch = world.namespaces.workspaces, asyncio.Semaphore(32)

    async def make(number: int) -> str:
        body: Object = {
            "apiVersion": "berth.dev/v1alpha1",
            "kind": "WorkspaceDeployment",
            "metadata": {"name": f"{type_name.replace('_', '-')}-{number}", "namespace": namespace},
            "spec": {"type": type_name} | spec,
        }
        async with batch:
            created = await looked_at(
                world.client, await world.client.create(WorkspaceDeployment.api(), namespace, body)
            )
        return WorkspaceDeployment.parse(created).public_id

    free = list(await asyncio.gather(*(make(number) for number in range(count))))
    for replica in replicas.users[0]:

        async def lists_all(replica: httpx.AsyncClient = replica) -> bool:
            listed = (await replica.get(f"/deployments/{type_name}")).json()["workspace_deployments"]
            return len(listed) == count

        await eventually(lists_all)
    return free


async def ok(answer: Awaitable[httpx.Response]) -> Any:
    """The body of an answer, which must be 200."""
    response = await answer
    assert response.status_code == 200, response.text
    return response.json() if response.content else None


async def test_instances_made_and_ended(world: World, replicas: Replicas) -> None:
    free = await machines(world, replicas, PAIRS)

    async def made_then_ended(writes: httpx.AsyncClient, reads: httpx.AsyncClient, number: int) -> None:
        instance = await made(writes, free[number], sshkey=KEY)
        assert (await ok(reads.get(f"/instance/{instance}")))["status"] == "INIT"
        assert instance in (await ok(reads.get("/instances")))["workspace_instances"]
        await ok(writes.post(f"/terminate/{instance}"))
        assert (await ok(reads.get(f"/instance/{instance}")))["status"] == "TERMINATING"
        assert instance not in (await ok(reads.get("/instances")))["workspace_instances"]

    await replicas.pairs(made_then_ended)


async def test_firewall_rules_appended_and_cleared(world: World, replicas: Replicas) -> None:
    held = await held_machines(world, replicas)

    async def appended_then_cleared(writes: httpx.AsyncClient, reads: httpx.AsyncClient, number: int) -> None:
        instance = held[number % CLIENTS]
        source = f"198.51.100.{number % 256}/32"
        await ok(writes.post(f"/firewall/{instance}", json={"src": source}))
        assert (await ok(reads.get(f"/firewall/{instance}")))["rules"] == [[source, "ACCEPT"]]
        await ok(writes.delete(f"/firewall/{instance}"))
        assert (await ok(reads.get(f"/firewall/{instance}")))["rules"] == []

    await replicas.pairs(appended_then_cleared)


async def test_ends_put_off(world: World, replicas: Replicas) -> None:
    held = await held_machines(world, replicas)

    async def extended(writes: httpx.AsyncClient, reads: httpx.AsyncClient, number: int) -> None:
        instance = held[number % CLIENTS]
        answered = await ok(writes.post(f"/instance/{instance}/extend", json={"expire_d": 100_000 + 100 * number}))
        assert (await ok(reads.get(f"/instance/{instance}")))["expires"] == answered["expires"]

    await replicas.pairs(extended)


async def test_reservations_made_and_deleted(world: World, replicas: Replicas) -> None:
    taken = await machines(world, replicas, 1)
    await made(replicas.users[0][0], taken[0], sshkey=KEY)

    async def made_then_deleted(writes: httpx.AsyncClient, reads: httpx.AsyncClient, _: int) -> None:
        place = (await ok(writes.post(f"/new/{taken[0]}", json={"reserve": True, "sshkey": KEY})))["id"]
        assert (await ok(reads.get(f"/reservation/{place}")))["id"] == place
        listed = (await ok(reads.get("/reservations")))["reservations"]
        assert place in [reservation["id"] for reservation in listed]
        await ok(writes.delete(f"/reservation/{place}"))
        assert (await reads.get(f"/reservation/{place}")).status_code == 404

    await replicas.pairs(made_then_deleted)


async def test_access_rules_made_and_deleted(world: World, replicas: Replicas) -> None:
    own = await machines(world, replicas, CLIENTS, owners=WRITERS)

    async def made_then_deleted(writes: httpx.AsyncClient, reads: httpx.AsyncClient, number: int) -> None:
        path = f"/deployment/{own[number % CLIENTS]}/rule"
        rule = (await ok(writes.post(path, json={"cap": "CAP_INSTANTIATE", "user": "carol"})))["rule_id"]
        for listing in (path + "s", "/rules"):
            listed = (await ok(reads.get(listing)))["rules"]
            assert rule in [r["id"] for r in listed if r["wdeployment_id"] == own[number % CLIENTS]]
        await ok(writes.delete(f"{path}/{rule}"))
        assert (await ok(reads.get(path + "s")))["rules"] == []

    await replicas.pairs(made_then_deleted)


async def test_lockouts_set_and_taken_back(world: World, replicas: Replicas) -> None:
    own = await machines(world, replicas, CLIENTS, owners=WRITERS)

    async def locked_then_unlocked(writes: httpx.AsyncClient, reads: httpx.AsyncClient, number: int) -> None:
        path = f"/deployment/{own[number % CLIENTS]}"
        await ok(writes.post(f"{path}/lockout"))
        assert (await ok(reads.get(path)))["lockout"] is True
        await ok(writes.delete(f"{path}/lockout"))
        assert "lockout" not in await ok(reads.get(path))

    await replicas.pairs(locked_then_unlocked)


@pytest.mark.alone
async def test_public_lists_are_at_most_a_second_behind(world: World, replicas: Replicas) -> None:
    type_name = await world.type()
    deployment = await world.deployment(type_name)
    writes, reads = replicas.users[0]
    await made(writes, deployment, sshkey=KEY)

    async def shows_the_queue() -> bool:
        info = (await ok(reads.get(f"/deployments/{type_name}?info")))["info"]
        return bool(info[deployment]["queuelen"] == 1)

    await eventually(shows_the_queue, seconds=promised(1))


async def held_machines(world: World, replicas: Replicas) -> list[str]:
    """For each user an instance that serves."""
    held = []
    for (one, _), machine in zip(replicas.users, await machines(world, replicas, CLIENTS), strict=True):
        held.append(await made(one, machine, sshkey=KEY))
        await world.make_ready(held[-1])
    return held


KEY: Final = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"
