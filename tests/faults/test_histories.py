"""Histories made up at random: eight clients, two API processes and an operator, and faults on the way to the cluster.

Whatever happens, nobody shares a deployment, nobody jumps the queue, and nothing that was promised is lost. In the end
everything is given back and nothing is left.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, seed, settings

from berth_cluster.apiserver import ApiServer
from berth_cluster.testing import make_namespaces
from berth_core.client import Object
from berth_core.errors import NotFoundError
from berth_core.ids import deployment_id

from ..cluster.operator_process.lab import DEPLOYMENTS, INSTANCES, PODS, SECRETS, SERVICES
from ..cluster.operator_process.process import documented_rules
from .conftest import is_long
from .histories import CLIENTS, Client, History, faults_of, histories
from .release import Release, release
from .seeds import SEED
from .watching import RESERVATIONS, Watching

pytestmark = pytest.mark.apiserver

RUNS = int(os.environ.get("FAULTS_RUNS") or (1000 if is_long() else 20))
ENDED_SECONDS, UNDONE_SECONDS, MET_SECONDS = 30.0, 60.0, 30.0
GRANTS = any("reservations/status" in rule["resources"] for rule in documented_rules()["each"])
"""Whether the operator takes turns: else it has no right to write what a reservation got."""


@dataclass
class Lab:
    """A release that runs, clients, and a model that sees everything."""

    release: Release
    watching: Watching
    users: list[httpx.AsyncClient]
    types: int = 0
    abandoned: dict[str, float] = field(default_factory=dict)
    """Types of which a lease is still held, and since when they are not used for it."""
    promised: set[str] = field(default_factory=set)
    """Instances that clients were promised."""
    played: int = 0

    def leased(self, type_name: str) -> list[str]:
        """Deployments of a type that somebody has."""
        mine = (wd for wd in self.watching.all(DEPLOYMENTS) if wd["spec"]["type"] == type_name)
        return [wd["metadata"]["name"] for wd in mine if (wd.get("status") or {}).get("lease")]

    async def free_type(self) -> str:
        """A type of which nobody has anything: one that was used before, else a new one with two deployments."""
        for name, since in list(self.abandoned.items()):
            if not self.leased(name):
                del self.abandoned[name]
                return name
            assert time.monotonic() - since < UNDONE_SECONDS, f"a lease of {self.leased(name)} is never given back"
        name = f"robot_{self.types}"
        self.types += 1
        lab = self.release.lab
        await lab.type(name)
        for number in (1, 2):
            await lab.deployment(f"{name.replace('_', '-')}-{number}", name)
        await self.release.listed(self.users[0], name, 2)
        return name

    async def play(self, history: History) -> None:
        """Let all clients do what they do, and everything go wrong that does; then mend everything and clear up."""
        name = await self.free_type()
        wds = [f"{name.replace('_', '-')}-{number}" for number in (1, 2)]
        targets = [name, *(deployment_id(self.release.lab.namespace, wd) for wd in wds)]
        wants = [frozenset(wds), *(frozenset({wd}) for wd in wds)]
        urls = [api.url for api in self.release.apis]
        clients = [Client(str(n), http, urls, targets, wants, self.watching.queue) for n, http in enumerate(self.users)]
        proxies = {f"api-{n}": api.proxy for n, api in enumerate(self.release.apis)}
        assert self.release.operator is not None
        proxies["operator"] = self.release.operator
        for process, proxy in proxies.items():
            proxy.faults = faults_of(history, process)
        try:
            pairs = zip(clients, history.clients, strict=True)
            await asyncio.gather(*(client.play(steps) for client, steps in pairs))
        finally:
            for proxy in proxies.values():
                proxy.faults = None
        self.promised |= set(self.watching.queue.newcomers)
        await self.end(name)
        self.played += 1

    async def end(self, name: str) -> None:
        """End everything; what waits has its turn first."""
        await self._terminate_all()
        if GRANTS:
            deadline = time.monotonic() + MET_SECONDS
            while self.watching.queue.lost():
                assert time.monotonic() < deadline, f"never met: {self.watching.queue.lost()}"
                await self._terminate_all()
        for place in self.watching.all(RESERVATIONS):
            await self.release.lab.client.delete(RESERVATIONS, self.release.lab.namespace, place["metadata"]["name"])
        await self._terminate_all()
        await self.watching.until(lambda: not self._living(), f"{self._living()} end", ENDED_SECONDS)
        if self.leased(name):
            self.abandoned[name] = time.monotonic()  # of a request that nobody knows the outcome of
        else:
            self.abandoned.setdefault(name, time.monotonic())
        self.judge()
        await self._delete_ended()

    def judge(self) -> None:
        """What must never be."""
        queue = self.watching.queue
        assert self.watching.leases.final_breaches() == []
        seen = {instance for bound in self.watching.leases.bound.values() for instance in bound}
        shown = {obj["metadata"]["name"] for obj in self.watching.all(INSTANCES)}
        assert self.promised - seen - shown == set(), "instances that were promised never were"
        if GRANTS:
            assert queue.jumps() == []
        queue.places.clear()
        queue.takings.clear()
        queue.newcomers.clear()
        queue.granted.clear()

    def _living(self) -> list[str]:
        return [
            o["metadata"]["name"] for o in self.watching.all(INSTANCES) if not (o.get("status") or {}).get("endTime")
        ]

    async def _terminate_all(self) -> None:
        body: Object = {"spec": {"terminate": True}}
        lab = self.release.lab
        for name in self._living():
            try:
                await lab.client.patch(INSTANCES, lab.namespace, name, body)
            except NotFoundError:
                continue
        await asyncio.sleep(0.02)

    async def _delete_ended(self) -> None:
        lab = self.release.lab
        for obj in self.watching.all(INSTANCES):
            await lab.client.delete(INSTANCES, lab.namespace, obj["metadata"]["name"])


@pytest_asyncio.fixture(scope="module")
async def lab(apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    folder = tmp_path_factory.mktemp("histories")
    async with release(apiserver, make_namespaces(apiserver), folder) as running:
        await running.operate()
        for _ in range(2):
            await running.serve()
        watching = Watching(running.lab)
        task = asyncio.create_task(watching.run())
        users = [running.user(f"user-{number}") for number in range(CLIENTS)]
        try:
            yield Lab(running, watching, users)
        finally:
            task.cancel()
            await asyncio.gather(task, *(user.aclose() for user in users), return_exceptions=True)


@pytest.mark.timeout(3 * 3600)
@seed(SEED)
@settings(
    max_examples=RUNS,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
@given(history=histories)
async def test_nobody_shares_jumps_or_loses_anything(lab: Lab, history: History) -> None:
    try:
        await lab.play(history)
    except BaseException as error:
        error.add_note(f"history {lab.played} of FAULTS_SEED={SEED}: {history}")
        raise


async def test_all_is_given_back_in_the_end(lab: Lab) -> None:
    """After the histories, also what requests of unknown outcome had taken."""

    def all_free() -> bool:
        return not any(lab.leased(f"robot_{number}") for number in range(lab.types))

    await lab.watching.until(all_free, "every lease is given back", UNDONE_SECONDS)
    assert lab.watching.leases.final_breaches() == []
    client, namespaces = lab.release.lab.client, lab.release.namespaces
    for kind in (PODS, SERVICES, SECRETS):
        left, _ = await client.list(kind, namespaces.workspaces, labels={"berth.dev/instance": ""})
        assert [obj["metadata"]["name"] for obj in left] == []
