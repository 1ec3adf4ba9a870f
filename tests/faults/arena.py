"""A type with two deployments, on which one history is played at a time; what comes of it is awaited and judged."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import httpx

from berth_core.ids import deployment_id
from berth_core.kube.errors import NotFoundError, UnavailableError
from berth_core.kube.types import Kind, Object

from ..envtest.operator.lab import DEPLOYMENTS, INSTANCES, RESERVATIONS, condition
from .histories import Client
from .model import Queue
from .waiting import until
from .watching import Watching

SIZE = 2
SETTLED_SECONDS = 240.0
"""In which all have had their turn, on a busy machine too. A lease of a request that came to nothing is given back
after 30 s, and while a killed operator starts again nobody serves."""
LOOK_SECONDS = 0.5


@dataclass
class Arena:
    """See the module."""

    watching: Watching
    type_name: str
    queue: Queue = field(default_factory=Queue)
    _told_to_end: set[str] = field(default_factory=set)

    @property
    def deployments(self) -> list[str]:
        """Names of its deployments."""
        return [f"{self.type_name.replace('_', '-')}-{number}" for number in range(SIZE)]

    async def make(self) -> None:
        """Make the type and the deployments."""
        lab = self.watching.lab
        await lab.type(self.type_name)
        for name in self.deployments:
            await lab.create(DEPLOYMENTS, name, {"type": self.type_name})
        for name in self.deployments:
            # An operator that was killed may have to come back first.
            await lab.until(DEPLOYMENTS, name, lambda wd: condition(wd, "Available") == "Free", seconds=SETTLED_SECONDS)

    def clients(self, users: Sequence[httpx.AsyncClient], apis: Sequence[str]) -> list[Client]:
        """Let users be clients of it, with a queue that nobody is in yet."""
        self.queue = Queue()
        for name in self.deployments:
            self.watching.queues[name] = self.queue
        targets = [self.type_name, *(deployment_id(self.watching.lab.namespace, name) for name in self.deployments)]
        wants = [frozenset(self.deployments), *(frozenset({name}) for name in self.deployments)]
        return [Client(f"user-{n}", http, apis, targets, wants, self.queue) for n, http in enumerate(users)]

    async def settle(self) -> None:
        """End whatever lives until all who waited have had their turn and all is given back; then judge and clear."""
        deadline = time.monotonic() + SETTLED_SECONDS
        while left := self.unsettled():
            assert time.monotonic() < deadline, f"not within {SETTLED_SECONDS} s: {left}"
            await self._end_all()
            await self.watching.wait(LOOK_SECONDS)
        breaches = [*self.watching.leases.final_breaches(), *self.queue.jumps()]
        assert not breaches, "\n".join(breaches)
        for kind in (INSTANCES, RESERVATIONS):
            for obj in self._mine(kind):
                name = obj["metadata"]["name"]
                await until(partial(self._is_deleted, kind, name), f"{name} can be deleted", SETTLED_SECONDS)
        await self.watching.until(
            lambda: not (self._mine(INSTANCES) or self._mine(RESERVATIONS)),
            "ended instances are deleted",
            SETTLED_SECONDS,  # an operator that was killed may have to come back first
        )

    async def _is_deleted(self, kind: Kind, name: str) -> bool:
        try:
            await self.watching.lab.client.delete(kind, self.watching.lab.namespace, name)
        except UnavailableError:
            return False
        return True

    def unsettled(self) -> list[str]:
        """Events that have yet to come."""
        leases = self.watching.leases
        promised = {*self.queue.newcomers, *self.queue.granted}
        places = [obj for obj in self._mine(RESERVATIONS) if condition(obj, "Fulfilled", "status") != "True"]
        wds = [obj for obj in self.watching.all(DEPLOYMENTS) if obj["metadata"]["name"] in self.deployments]
        return [
            *(f"reservation {name} has its turn" for name in self.queue.lost()),
            *(f"reservation {obj['metadata']['name']} is fulfilled" for obj in places),
            *(f"instance {name}, which was promised, ends" for name in promised - leases.ended),
            *(f"instance {name} ends" for name in self._living()),
            *(f"{wd['metadata']['name']} is given back" for wd in wds if (wd.get("status") or {}).get("lease")),
            *(f"it is seen how {place} was taken" for place in leases.bound if place not in leases.taken),
        ]

    def _mine(self, kind: Kind) -> list[Object]:
        return [obj for obj in self.watching.all(kind) if self._is_mine(obj["spec"])]

    def _is_mine(self, spec: Object) -> bool:
        return spec.get("workspaceType") == self.type_name or bool({*self.deployments} & {*spec.get("deployments", ())})

    def _living(self) -> list[str]:
        mine = self._mine(INSTANCES)
        return [obj["metadata"]["name"] for obj in mine if not (obj.get("status") or {}).get("endTime")]

    async def _end_all(self) -> None:
        lab = self.watching.lab
        for name in self._living():
            if name in self._told_to_end:
                continue
            try:
                await lab.client.patch(INSTANCES, lab.namespace, name, {"spec": {"terminate": True}})
            except NotFoundError:
                continue  # the watch has yet to say so
            except UnavailableError:
                continue  # the machine is busy: it is asked again until the deadline
            self._told_to_end.add(name)
