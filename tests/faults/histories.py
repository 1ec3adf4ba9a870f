"""Histories that hypothesis makes up, of clients' actions and of faults meanwhile; and how one of them is played.

The fault proxies strike by number: "the third write of the operator meets a 409". The request with that number depends
on concurrent events, so a seed repeats the plan and not the moment.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import add
from typing import Literal

import httpx
from aiohttp import web
from hypothesis import strategies as st

from ..envtest.operator.lab import KEY
from .model import Newcomer, Place, Queue
from .proxy import Delay, Fault, Faults, Forget, Hold, Kill, LateAnswer, LoseAnswer, LoseRequest, Refuse, Stale

CLIENTS = 8
PROCESSES = ("api-0", "api-1", "operator")
SORTS = ("write", "read", "list", "watch")
Act = Literal["ask", "insist", "reserve", "cancel", "terminate"]
TRIES, AGAIN_SECONDS = 15, 0.04
"""Of one who insists."""


@dataclass(frozen=True)
class Step:
    """Something that a client does; ``target`` is a type (0) or one of its deployments."""

    act: Act
    target: int
    api: int
    pause: float


@dataclass(frozen=True)
class Struck:
    """The nth request of a sort that a process sends from now on meets a fault."""

    process: str
    sort: str
    nth: int
    fault: Fault


@dataclass(frozen=True)
class History:
    """Each client's steps one after the other, and all that goes wrong."""

    clients: Sequence[Sequence[Step]]
    faults: Sequence[Struck]


seconds = st.sampled_from((0.02, 0.1, 0.4, 1.0))
steps = st.builds(
    Step,
    act=st.sampled_from(("ask", "insist", "reserve", "reserve", "cancel", "terminate", "terminate")),
    target=st.integers(0, 2),
    api=st.integers(0, 1),
    pause=st.sampled_from((0.0, 0.0, 0.01, 0.05)),
)
reads = st.one_of(
    st.builds(Delay, seconds),
    st.builds(LateAnswer, seconds),
    st.builds(Refuse, st.sampled_from((429, 500))),
    st.just(LoseRequest()),
    st.just(LoseAnswer()),
)
writes = st.one_of(reads, st.just(Refuse(409)))
watches = st.one_of(st.builds(Hold, seconds), st.builds(Forget, st.integers(1, 3)), st.just(LoseRequest()))
SORTS_OF_FAULTS = {
    "write": writes,
    "read": reads,
    "list": st.one_of(st.just(Stale()), st.builds(Delay, seconds), st.builds(Refuse, st.sampled_from((429, 500)))),
    "watch": watches,
}
struck = st.sampled_from(SORTS).flatmap(
    lambda sort: st.builds(Struck, st.sampled_from(PROCESSES), st.just(sort), st.integers(0, 40), SORTS_OF_FAULTS[sort])
)
kills = st.builds(Struck, st.sampled_from(PROCESSES), st.just("write"), st.integers(0, 5), st.just(Kill()))
acts = st.lists(st.lists(steps, min_size=2, max_size=6), min_size=CLIENTS, max_size=CLIENTS)
undisturbed = st.builds(History, clients=acts, faults=st.just(()))
plans = st.lists(struck, min_size=12, max_size=20)
"""Some six in seven wait for a request that never comes."""
unkilled = st.builds(History, clients=acts, faults=plans)
histories = st.builds(History, clients=acts, faults=st.builds(add, plans, st.lists(kills, max_size=2)))


def faults_of(history: History, process: str, met: list[Fault]) -> Faults:
    """Faults of a process's proxy; those that met a request are added to ``met``."""
    planned = {(s.sort, s.nth): s.fault for s in history.faults if s.process == process}
    seen: Counter[str] = Counter()

    def strike(_request: web.Request, sort: str) -> Fault | None:
        fault = planned.get((sort, seen[sort]))
        seen[sort] += 1
        if fault is not None:
            met.append(fault)
        return fault

    return strike


@dataclass
class Client:
    """One user, who remembers the answers."""

    name: str
    http: httpx.AsyncClient
    apis: Sequence[str]
    targets: Sequence[str]
    """For each target: what follows /new/ in the path."""
    wants: Sequence[frozenset[str]]
    """For each target: names of the deployments that it means."""
    queue: Queue
    instances: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)

    async def play(self, steps: Sequence[Step]) -> None:
        """Do one thing after the other, whatever the answers are."""
        for step in steps:
            await asyncio.sleep(step.pause)
            try:
                await getattr(self, step.act)(step)
            except httpx.TransportError:
                continue  # the user does not learn the outcome

    async def ask(self, step: Step, *, reserve: bool = False) -> bool:
        """Ask for an instance, or for a place where there is none; whether the answer promises one of them."""
        asked = time.monotonic()
        body = {"sshkey": KEY} | ({"reserve": True} if reserve else {})
        answer = await self.http.post(f"{self.apis[step.api]}/new/{self.targets[step.target]}", json=body)
        if answer.status_code != 200:
            return False
        told = answer.json()
        if told["success"]:
            self.instances.append(told["id"])
            self.queue.newcomers[told["id"]] = Newcomer(asked, self.name)
        else:
            self.places.append(told["id"])
            place = Place(told["id"], self.wants[step.target], asked, self.name, answered=time.monotonic())
            self.queue.places[place.name] = place
        return True

    async def insist(self, step: Step) -> None:
        """Ask again and again."""
        for _ in range(TRIES):
            if await self.ask(step):
                return
            await asyncio.sleep(AGAIN_SECONDS)

    async def reserve(self, step: Step) -> None:
        await self.ask(step, reserve=True)

    async def cancel(self, step: Step) -> None:
        if self.places:
            place = self.places.pop()
            self.queue.places[place].leaves = time.monotonic()
            await self.http.delete(f"{self.apis[step.api]}/reservation/{place}")

    async def terminate(self, step: Step) -> None:
        if self.instances:
            await self.http.post(f"{self.apis[step.api]}/terminate/{self.instances.pop()}")
