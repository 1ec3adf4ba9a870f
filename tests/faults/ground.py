"""A release that runs, with arenas on which histories are played, users, and a model that sees everything."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx

from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import make_namespaces

from ..envtest.operator.earlier import NOW, Version
from ..envtest.operator.lab import INSTANCES, PODS, RULES, SECRETS, SERVICES
from .arena import SIZE, Arena
from .histories import CLIENTS, History, faults_of
from .proxy import Fault, FaultProxy
from .release import Release, release
from .seeds import SEED
from .watching import Watching

SPARED_SECONDS = 15.0
"""Of an operator that has just begun to lead: else nothing would ever settle."""


@dataclass
class Ground:
    """A release that runs, users, and a model that sees everything."""

    release: Release
    watching: Watching
    users: list[httpx.AsyncClient]
    arenas: int
    """How many there may be."""
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
        while not self.free and self.made >= self.arenas:
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

    async def left(self) -> list[str]:
        """Names of all that the cluster still has of any instance."""
        client, namespaces = self.release.lab.client, self.release.namespaces
        places = [(kind, namespaces.workspaces) for kind in (INSTANCES, RULES, PODS, SERVICES, SECRETS)]
        found: list[str] = []
        for kind, namespace in [*places, (SECRETS, namespaces.access)]:
            objects, _ = await client.list(kind, namespace)
            names = (obj["metadata"]["name"] for obj in objects)
            found += [f"{kind.plural}/{name}" for name in names if name.startswith("i-") or kind in (INSTANCES, RULES)]
        return found

    async def play(self, history: History, *meanwhile: Callable[[], Awaitable[None]]) -> None:
        """Let all clients do what they do, and everything go wrong that does; what becomes of it is judged later."""
        await self.alive("api-0", "api-1")
        arena = await self.arena()
        self.played += 1
        self.struck.append([])
        clients = arena.clients(self.users, [api.url for api in self.release.apis])
        for process, proxy in self.proxies.items():
            proxy.faults = faults_of(history, process, self.struck[-1])
        pairs = zip(clients, history.clients, strict=True)
        await asyncio.gather(*(client.play(steps) for client, steps in pairs), *(happens() for happens in meanwhile))
        self.settling[asyncio.create_task(self._settle(arena, self.played, history))] = arena

    async def _settle(self, arena: Arena, number: int, history: History) -> None:
        try:
            await arena.settle()
        except BaseException as error:
            error.add_note(f"history {number} of FAULTS_SEED={SEED}, on {arena.type_name}: {history}")
            raise


@asynccontextmanager
async def ground_in(
    server: ApiServer, folder: Path, arenas: int, *, operator: Version = NOW, api: Version = NOW
) -> AsyncIterator[Ground]:
    """A release of an operator and two API processes, each of a version."""
    async with release(server, await asyncio.to_thread(make_namespaces, server), folder) as running:
        running.operator_environment, running.api_environment = operator.environment, api.environment
        await running.operate()
        for _ in range(2):
            await running.serve()
        watching = Watching(running.lab)
        watching.begin()
        users = [running.user(f"user-{number}") for number in range(CLIENTS)]
        try:
            yield Ground(running, watching, users, arenas)
        finally:
            await watching.end()
            await asyncio.gather(*(user.aclose() for user in users), return_exceptions=True)
