"""Tells the model what the cluster shows, event by event, and waits for what must come."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from recording import goes_on, versions

from berth_core.kube.errors import GoneError, UnavailableError
from berth_core.kube.types import Kind, Object, WatchEvent

from ..envtest.operator.lab import DEPLOYMENTS, INSTANCES, RESERVATIONS, Lab
from .model import Leases, Queue, Taking
from .waiting import TICK


@dataclass
class Watching:
    """Objects of three kinds as of the last event, and the model that got all events."""

    lab: Lab
    leases: Leases = field(default_factory=Leases)
    queues: dict[str, Queue] = field(default_factory=dict)
    """By deployment: the queue of those who want it now."""
    objects: dict[Kind, dict[str, Object]] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None
    """Process that watches."""

    def begin(self) -> None:
        """Watch until :meth:`end`."""
        self.task = asyncio.create_task(self._run())

    async def end(self) -> None:
        """Watch no more; an error that has ended the watch before is raised."""
        if self.task is not None:
            self.task.cancel()
            (outcome,) = await asyncio.gather(self.task, return_exceptions=True)
            if isinstance(outcome, Exception):
                raise outcome

    async def _run(self) -> None:
        self.leases.on_taken = self._taken
        async with asyncio.TaskGroup() as tasks:
            for kind in (DEPLOYMENTS, INSTANCES, RESERVATIONS):
                tasks.create_task(self._follow(kind))

    async def wait(self, seconds: float) -> None:
        """Wait until anything is seen, or for so long; an error of the watch is raised."""
        if self.task is not None and self.task.done():
            self.task.result()
        self.changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.changed.wait(), seconds)

    async def until(self, holds: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait until something holds of what was seen."""
        deadline = time.monotonic() + seconds
        while not holds():
            left = deadline - time.monotonic()
            assert left > 0, f"not within {seconds} s: {what}"
            await self.wait(left)

    def all(self, kind: Kind) -> list[Object]:
        """Objects of a kind."""
        return list(self.objects.get(kind, {}).values())

    async def _follow(self, kind: Kind) -> None:
        listed, version = await self.lab.client.list(kind, self.lab.namespace)
        for obj in listed:
            self._see(kind, obj)
        while True:
            try:
                async for event in self.lab.client.watch(kind, self.lab.namespace, version):
                    version = event.object["metadata"]["resourceVersion"]
                    self._hear(kind, event)
            except UnavailableError:
                await asyncio.sleep(TICK)  # its API server was lost: another goes on from the same version
            except GoneError as gone:
                seen = versions(self.all(kind))
                version = await goes_on(self.lab.client, kind, self.lab.namespace, gone, seen)

    def _hear(self, kind: Kind, event: WatchEvent) -> None:
        if event.type == "DELETED":
            self.objects[kind].pop(event.object["metadata"]["name"], None)
        elif event.type != "BOOKMARK":
            self._see(kind, event.object)
        self.changed.set()

    def _see(self, kind: Kind, obj: Object) -> None:
        self.objects.setdefault(kind, {})[obj["metadata"]["name"]] = obj
        if kind == DEPLOYMENTS:
            self.leases.see_deployment(obj)
        elif kind == INSTANCES:
            self.leases.see_instance(obj)
        elif grant := (obj.get("status") or {}).get("grant"):
            if (queue := self.queues.get(grant["deployment"])) is not None:
                queue.granted[grant["instance"]] = obj["metadata"]["name"]

    def _taken(self, deployment: str, instance: str, version: int) -> None:
        if (queue := self.queues.get(deployment)) is not None:
            queue.takings.append(Taking(deployment, instance, version, time.monotonic()))
