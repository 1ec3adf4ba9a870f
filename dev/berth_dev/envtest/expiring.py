"""Leases that expire at the same moment: times until each is marked, its pod's deletion is asked for, and it is free.

For the bench and for a smaller test. An operator must be running; nodes are played
(:mod:`berth_dev.envtest.puppets`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from berth_core import ids, names
from berth_core.kube.client import Client
from berth_core.kube.model import timestamp
from berth_core.kube.types import Object
from berth_core.leases import leasing
from berth_core.resources import Instance, WorkspaceDeployment, WorkspaceType
from berth_dev.envtest.puppets import Puppets
from berth_dev.envtest.testing import looked_at

AT_ONCE: Final = 24
TYPE: Final = "brief"
PATIENCE: Final = 600.0
T = TypeVar("T")
R = TypeVar("R")


@dataclass
class Figures:
    """Seconds. ``launched`` and ``warned`` are until all leases were; the others are for each lease, after its end."""

    launched: float = 0.0
    warned: float = 0.0
    marked: list[float] = field(default_factory=list)
    """Until the Instance has its reason to end."""
    deleting: list[float] = field(default_factory=list)
    """Until its pod has a deletionTimestamp."""
    given_back: list[float] = field(default_factory=list)
    """Until the Instance has its end time; its deployment is free then."""


async def expire_together(client: Client, puppets: Puppets, count: int, *, lead: float) -> Figures:
    """Launch so many leases, let all of them end ``lead`` seconds after the last one runs, and watch."""
    figures, loop = Figures(), asyncio.get_running_loop()
    namespace = puppets.namespace
    await _make(client, namespace, count)
    started = loop.time()
    instances = await _each(range(count), lambda number: _launch(client, namespace, number))
    await puppets.until(lambda: len(puppets.states) == count, PATIENCE)
    figures.launched = loop.time() - started
    end = (datetime.now(UTC) + timedelta(seconds=lead)).replace(microsecond=0)
    watching = asyncio.create_task(_endings(client, namespace, set(instances)))
    warning = loop.time()
    await _each(instances, lambda name: _ends_at(client, namespace, name, end))
    await puppets.until(lambda: all(state["notice"] for state in puppets.states.values()), PATIENCE)
    figures.warned = loop.time() - warning
    if datetime.now(UTC) >= end:
        raise TimeoutError(f"it took {figures.warned:.0f} s to warn all of them: take a longer lead")
    marked, given_back = await watching
    figures.marked = sorted((marked[name] - end).total_seconds() for name in instances)
    figures.given_back = sorted((given_back[name] - end).total_seconds() for name in instances)
    pods = [names.instance_object(name) for name in instances]
    figures.deleting = sorted((puppets.deleting[pod] - end).total_seconds() for pod in pods)
    return figures


async def _make(client: Client, namespace: str, count: int) -> None:
    template = {"image": "workspace.invalid/none:1"}
    limits = {"startTimeout": 3600}
    spec: Object = {"typeName": TYPE, "template": template, "limits": limits}
    await client.create(WorkspaceType.api(), namespace, _body("WorkspaceType", TYPE, spec))

    async def one(number: int) -> None:
        body = _body("WorkspaceDeployment", f"brief-{number}", {"type": TYPE})
        await looked_at(client, await client.create(WorkspaceDeployment.api(), namespace, body))

    await _each(range(count), one)


async def _launch(client: Client, namespace: str, number: int) -> str:
    """Launch an instance as the API does for ``POST /new``; returns its id."""
    now = datetime.now(UTC)
    instance, deployment = ids.uuid7(int(now.timestamp() * 1000)), f"brief-{number}"
    lease = await leasing.take(client, namespace, deployment, instance=instance, user="ada", now=now)
    claim = {"deployment": deployment, "epoch": lease.epoch}
    spec: Object = {"user": "ada", "deployments": [deployment], "claim": claim, "sshKeys": []}
    await client.create(Instance.api(), namespace, _body("Instance", instance, spec))
    return instance


async def _ends_at(client: Client, namespace: str, name: str, end: datetime) -> None:
    """Set the end of an instance, as if it had become ready an hour before."""
    times = {"readyTime": timestamp(end - timedelta(hours=1)), "expireTime": timestamp(end)}
    await client.patch(Instance.api(), namespace, name, {"status": times}, subresource="status")


async def _endings(client: Client, namespace: str, rest: set[str]) -> tuple[dict[str, datetime], dict[str, datetime]]:
    """Times when each was first seen marked, and ended."""
    marked: dict[str, datetime] = {}
    ended: dict[str, datetime] = {}
    _, version = await client.list(Instance.api(), namespace, metadata_only=True)
    async with asyncio.timeout(PATIENCE):
        while rest:
            async for event in client.watch(Instance.api(), namespace, version):
                version = event.object["metadata"]["resourceVersion"]
                name, status = event.object["metadata"].get("name"), event.object.get("status") or {}
                if name in rest and status.get("reason"):
                    marked.setdefault(name, datetime.now(UTC))
                if name in rest and status.get("endTime"):
                    ended[name] = datetime.now(UTC)
                    rest.discard(name)
                if not rest:
                    break
    return marked, ended


async def _each(items: Iterable[T], act: Callable[[T], Awaitable[R]]) -> list[R]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> R:
        async with gate:
            return await act(item)

    return await asyncio.gather(*map(one, items))


def _body(kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": names.API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
