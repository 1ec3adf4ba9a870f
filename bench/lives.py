"""Whole lives of leases through API and operator on a played node, and the time from a give-back to the next lease."""

import asyncio
import json
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import aiohttp
from bench.controller import Controller
from bench.population import HOST_KEY, Population
from bench.process import Process
from bench.replica import Replica, Signer
from bench.report import Report

from berth_core.kube.client import Client
from berth_core.kube.types import Kind, Object
from berth_core.resources import Instance, WorkspaceDeployment
from berth_dev.envtest.apiserver import ApiServer

AT_ONCE: Final = 24
"""Users who each have one lease after the other."""
ROUNDS: Final = 40
PATIENCE: Final = 60.0
_WRITE: Final = re.compile(r"^apiserver_request_total\{(?P<labels>[^}]*)\} (?P<value>\S+)$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "APPLY": "apply", "DELETE": "delete"}
_PLAYED: Final = {"create pods/binding", "patch pods/status"}
"""Writes of the played kubelet and scheduler."""
_BY_THE_CLOCK: Final = {"patch leases", "update leases"}
"""Renewals by the leader and by the API server; no instance here has keep-alive."""


class News:
    """The newest version of each object of a kind, by name, and a way to wait for a version."""

    def __init__(self, client: Client, kind: Kind, namespace: str) -> None:
        self._client = client
        self._kind = kind
        self._namespace = namespace
        self._seen: dict[str, Object] = {}
        self._changed: dict[str, asyncio.Event] = {}

    @asynccontextmanager
    async def following(self) -> AsyncIterator["News"]:
        """Follow the objects for the length of a ``with`` block."""
        listed, version = await self._client.list(self._kind, self._namespace)
        self._seen = {obj["metadata"]["name"]: obj for obj in listed}
        task = asyncio.create_task(self._follow(version))
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, name: str, holds: Callable[[Object], Any]) -> float:
        """Wait until an object meets a condition; return when that was seen, on the monotonic clock."""
        changed = self._changed.setdefault(name, asyncio.Event())
        async with asyncio.timeout(PATIENCE):
            while name not in self._seen or not holds(self._seen[name]):
                changed.clear()
                await changed.wait()
        return monotonic()

    async def _follow(self, version: str) -> None:
        while True:
            async for event in self._client.watch(self._kind, self._namespace, version):
                version = event.object["metadata"]["resourceVersion"]
                if event.type in ("ADDED", "MODIFIED"):
                    name = event.object["metadata"]["name"]
                    self._seen[name] = event.object
                    if (changed := self._changed.get(name)) is not None:
                        changed.set()


class Visitor:
    """A user of the API."""

    def __init__(self, session: aiohttp.ClientSession, token: str) -> None:
        self._session = session
        self._headers = {"Authorization": f"Bearer {token}"}

    async def new(self, target: str, **options: Any) -> str:
        """Ask for an instance; return its id, or with ``reserve`` that of the reservation."""
        answer = await self._post(f"/new/{target}", {"sshkey": HOST_KEY, "expire_d": 3600} | options)
        return str(json.loads(answer)["id"])

    async def terminate(self, instance: str) -> None:
        """End an instance."""
        await self._post(f"/terminate/{instance}", {})

    async def _post(self, path: str, body: Object) -> str:
        async with self._session.post(path, json=body, headers=self._headers) as answer:
            text = await answer.text()
            if answer.status != 200:
                raise RuntimeError(f"POST {path} was answered {answer.status}: {text}")
            return text


@dataclass(frozen=True)
class Cluster:
    """The running processes."""

    server: ApiServer
    client: Client
    replica: Replica
    controller: Controller


async def lives(report: Report, cluster: Cluster, found: Population, signer: Signer, seconds: float) -> None:
    """Let users have one lease after the other: ask, wait until it is ready, end it, wait until it is given back."""
    spent: dict[str, list[float]] = {"POST /new to READY": [], "terminate to given back": []}
    client, replica, controller, namespace = cluster.client, cluster.replica, cluster.controller, found.namespace
    instances, deployments = News(client, Instance.api(), namespace), News(client, WorkspaceDeployment.api(), namespace)
    end = monotonic() + seconds

    async def live(session: aiohttp.ClientSession, number: int) -> int:
        visitor, done = Visitor(session, signer.token(f"user-{number:02}")), 0
        name, target = found.free[number], found.deployments[-len(found.free) + number]
        while monotonic() < end:
            begun = monotonic()
            instance = await visitor.new(target)
            ready = await instances.until(instance, _is_ready)
            await visitor.terminate(instance)
            ending = monotonic()
            await instances.until(instance, _has_ended)
            gone = await deployments.until(name, _is_free)
            spent["POST /new to READY"].append(ready - begun)
            spent["terminate to given back"].append(gone - ending)
            done += 1
        return done

    async with instances.following(), deployments.following(), aiohttp.ClientSession(replica.url) as session:
        busy = {"the API": replica, "the operator": controller, "the bench with the played node": Process(os.getpid())}
        spent_before, before = {who: process.cpu() for who, process in busy.items()}, writes(cluster.server)
        begun = monotonic()
        done = sum(await asyncio.gather(*(live(session, number) for number in range(AT_ONCE))))
        took = monotonic() - begun
        after = writes(cluster.server)
    for name, times in spent.items():
        report.add(f"whole lives, {AT_ONCE} at once: {name}", times)
    report.others["whole lives: number"] = done
    report.others["whole lives a second"] = done / took
    for who, process in busy.items():
        report.others[f"whole lives: processor of {who}, %"] = 100 * (process.cpu() - spent_before[who]) / took
    made = after - before
    ours = {what: count for what, count in made.items() if what not in _PLAYED | _BY_THE_CLOCK}
    report.others["writes per life"] = sum(ours.values()) / done
    report.others["writes per life of the played node"] = sum(made[what] for what in _PLAYED) / done
    report.others |= {f"writes per life: {what}": count / done for what, count in sorted(ours.items())}


async def turns(report: Report, cluster: Cluster, found: Population, signer: Signer) -> None:
    """Hand one deployment from its holder to the waiter, again and again."""
    client, name, target = cluster.client, found.free[-1], found.deployments[-1]
    freed, handed, whole = [], [], []
    deployments = News(client, WorkspaceDeployment.api(), found.namespace)
    instances = News(client, Instance.api(), found.namespace)
    async with (
        instances.following(),
        aiohttp.ClientSession(cluster.replica.url) as session,
    ):
        users = [Visitor(session, signer.token(user)) for user in ("ada", "bob")]
        holding = await users[0].new(target)
        for number in range(ROUNDS):
            holder, waiter = users[number % 2], users[(number + 1) % 2]
            await instances.until(holding, _is_ready)
            await waiter.new(target, reserve=True)
            async with _changes(client, found.namespace, name) as changes:
                ended = monotonic()
                await holder.terminate(holding)
                free, next_one, holding = await _handed_over(changes, holding)
            freed.append(free - ended)
            handed.append(next_one - free)
            whole.append(next_one - ended)
        await instances.until(holding, _is_ready)
        await users[ROUNDS % 2].terminate(holding)
        async with deployments.following():
            await deployments.until(name, _is_free)
    report.add("give-back to the next holder's lease", handed)
    report.add("terminate to give-back", freed)
    report.add("terminate to the next holder's lease", whole)


@asynccontextmanager
async def _changes(client: Client, namespace: str, name: str) -> AsyncIterator["asyncio.Queue[tuple[float, Object]]"]:
    """Yield a queue of all versions of a deployment from now on, with the times at which they were seen."""
    fields = {"metadata.name": name}
    _, version = await client.list(WorkspaceDeployment.api(), namespace, fields=fields)
    queue: asyncio.Queue[tuple[float, Object]] = asyncio.Queue()

    async def follow() -> None:
        async for event in client.watch(WorkspaceDeployment.api(), namespace, version, fields=fields):
            queue.put_nowait((monotonic(), event.object))

    task = asyncio.create_task(follow())
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _handed_over(changes: "asyncio.Queue[tuple[float, Object]]", holder: str) -> tuple[float, float, str]:
    """Time when the deployment was free, time when the next holder had it, and the next instance."""
    free: float | None = None
    async with asyncio.timeout(PATIENCE):
        while True:
            seen, obj = await changes.get()
            lease = (obj.get("status") or {}).get("lease")
            if lease is None and free is None and "status" in obj:
                free = seen
            if lease is not None and lease["instance"] != holder:
                if free is None:
                    raise RuntimeError("the lease went from one holder to the next without being given back")
                return free, seen, lease["instance"]


def writes(server: ApiServer) -> Counter[str]:
    """Writes that the API server has answered without an error so far, by verb and resource."""
    found: Counter[str] = Counter()
    for match in _WRITE.finditer(server.kubectl("get", "--raw", "/metrics")):
        labels = dict(_LABEL.findall(match["labels"]))
        if labels["verb"] in _VERBS and labels["code"].startswith("2") and not labels["dry_run"]:
            resource = "/".join(part for part in (labels["resource"], labels["subresource"]) if part)
            found[f"{_VERBS[labels['verb']]} {resource}"] += int(float(match["value"]))
    return found


def _is_ready(instance: Object) -> bool:
    conditions = (instance.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _has_ended(instance: Object) -> bool:
    return bool((instance.get("status") or {}).get("endTime"))


def _is_free(deployment: Object) -> bool:
    return not (deployment.get("status") or {}).get("lease")
