"""Histories made up at random: eight clients, two API processes and an operator, faults on the way, and kills.

Whatever happens, nobody shares a deployment, nobody jumps the queue, and nothing that was promised is lost. In the end
everything is given back and nothing is left. While one history is played, what became of some before it is waited for.
"""

import asyncio
import math
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, seed, settings

from berth_cluster.apiserver import ApiServer
from berth_cluster.testing import make_namespaces

from ..cluster.operator_process.lab import INSTANCES, PODS, RULES, SECRETS, SERVICES
from .arena import SIZE, Arena
from .conftest import is_long
from .histories import CLIENTS, History, faults_of, histories
from .proxy import Fault, FaultProxy
from .release import Release, release
from .seeds import SEED
from .watching import Watching

pytestmark = pytest.mark.apiserver

RUNS = int(os.environ.get("FAULTS_RUNS") or (1000 if is_long() else 8))
ARENAS = 16 if is_long() else 6
"""Most of them wait for a lease of a request that came to nothing, which is given back after 30 s."""
SPARED_SECONDS = 15.0
"""Of an operator that has just begun to lead: else nothing would ever settle."""


@dataclass
class Ground:
    """A release that runs, users, and a model that sees everything."""

    release: Release
    watching: Watching
    users: list[httpx.AsyncClient]
    free: list[Arena] = field(default_factory=list)
    settling: dict["asyncio.Task[None]", Arena] = field(default_factory=dict)
    made: int = 0
    played: int = 0
    turns: int = 0
    """Reservations that had their turn."""
    struck: list[list[Fault]] = field(default_factory=list)
    """By history: faults that met a request."""
    kills: int = 0
    spared: dict[str, float] = field(default_factory=dict)
    """By process: until when it is not killed, on the monotonic clock."""
    reviving: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    """By process: what starts it again."""

    def __post_init__(self) -> None:
        for name, proxy in self.proxies.items():
            proxy.kill = partial(self.kill, name)

    @property
    def proxies(self) -> dict[str, FaultProxy]:
        """By process."""
        assert self.release.operator is not None
        apis = {f"api-{n}": api.proxy for n, api in enumerate(self.release.apis)}
        return apis | {"operator": self.release.operator}

    def kill(self, name: str) -> None:
        """Kill a process, and start it again; the operator only where it had time to do something since the last."""
        if time.monotonic() < self.spared.get(name, 0.0):
            return
        self.kills += 1
        served = {f"api-{n}": api for n, api in enumerate(self.release.apis)}.get(name)
        process = served.process if served is not None else self.release.operators.running[-1]
        self.proxies[name].bury(process)
        again = self.release.serve_again(served) if served is not None else self._operate_again()
        self.reviving[name] = asyncio.create_task(again)

    async def _operate_again(self) -> None:
        self.spared["operator"] = math.inf
        await self.release.operate_again()
        self.spared["operator"] = time.monotonic() + SPARED_SECONDS

    async def alive(self, *names: str) -> None:
        """Wait until processes that were killed are back."""
        for name in names:
            if name in self.reviving:
                await self.reviving[name]

    async def arena(self) -> Arena:
        """An arena on which nothing is: one that was used before, or a new one."""
        while not self.free and self.made >= ARENAS:
            await self.settled(asyncio.FIRST_COMPLETED)
        if self.free:
            return self.free.pop()
        made = Arena(self.watching, f"robot_{self.made}")
        self.made += 1
        await made.make()
        await self.release.listed(self.users[0], made.type_name, SIZE)
        return made

    async def settled(self, when: str) -> None:
        """Wait until some or all arenas have settled; their failures are raised."""
        if not self.settling:
            return
        done, _ = await asyncio.wait(self.settling, return_when=when)
        for task in done:
            arena = self.settling.pop(task)
            task.result()
            self.turns += len(arena.queue.granted)
            self.free.append(arena)

    async def play(self, history: History) -> None:
        """Let all clients do what they do, and everything go wrong that does; what becomes of it is judged later."""
        await self.alive("api-0", "api-1")
        arena = await self.arena()
        self.played += 1
        self.struck.append([])
        clients = arena.clients(self.users, [api.url for api in self.release.apis])
        for process, proxy in self.proxies.items():
            proxy.faults = faults_of(history, process, self.struck[-1])
        pairs = zip(clients, history.clients, strict=True)
        await asyncio.gather(*(client.play(steps) for client, steps in pairs))
        self.settling[asyncio.create_task(self._settle(arena, self.played, history))] = arena

    async def _settle(self, arena: Arena, number: int, history: History) -> None:
        try:
            await arena.settle()
        except BaseException as error:
            error.add_note(f"history {number} of FAULTS_SEED={SEED}, on {arena.type_name}: {history}")
            raise


@pytest_asyncio.fixture(scope="module")
async def ground(apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    folder = tmp_path_factory.mktemp("histories")
    async with release(apiserver, make_namespaces(apiserver), folder) as running:
        await running.operate()
        for _ in range(2):
            await running.serve()
        watching = Watching(running.lab)
        task = asyncio.create_task(watching.run())
        users = [running.user(f"user-{number}") for number in range(CLIENTS)]
        try:
            yield Ground(running, watching, users)
        finally:
            task.cancel()
            await asyncio.gather(task, *(user.aclose() for user in users), return_exceptions=True)


@pytest.mark.timeout(3 * 3600)
@seed(SEED)
@settings(
    max_examples=RUNS,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
@given(history=histories)
async def test_nobody_shares_jumps_or_loses_anything(ground: Ground, history: History) -> None:
    await ground.play(history)


@pytest.mark.timeout(600)
async def test_all_is_given_back_in_the_end(ground: Ground) -> None:
    await ground.settled(asyncio.ALL_COMPLETED)
    await ground.alive(*ground.reviving)
    assert ground.played >= RUNS
    faults = [fault for struck in ground.struck for fault in struck]
    shown = (
        f"{len(ground.watching.leases.taken)} leases, {ground.turns} turns, {len(faults)} faults, {ground.kills} kills"
    )
    print(f"{ground.played} histories, {sum(map(bool, ground.struck))} met faults: {shown}")  # noqa: T201 (a report)
    few = f"too little happened in {ground.played} histories of FAULTS_SEED={SEED}: {shown}"
    assert len(ground.watching.leases.taken) >= 3 * RUNS, few
    assert ground.turns >= RUNS, few
    assert len(faults) >= RUNS, few
    assert ground.kills >= RUNS // 10, few
    client, namespaces = ground.release.lab.client, ground.release.namespaces
    places = [(kind, namespaces.workspaces) for kind in (INSTANCES, RULES, PODS, SERVICES, SECRETS)]
    for kind, namespace in [*places, (SECRETS, namespaces.access)]:
        left, _ = await client.list(kind, namespace)
        names = [obj["metadata"]["name"] for obj in left]
        assert [name for name in names if name.startswith("i-") or kind in (INSTANCES, RULES)] == []
