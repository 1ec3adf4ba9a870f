"""The public lists: caches of types, deployments, reservations, access rules and instances."""

import asyncio
import gc
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, Self

from berth_api import metrics
from berth_api.cache.deployment import Deployment
from berth_api.cache.listing import ORDERS
from berth_api.cache.lists import Rows
from berth_api.http.errors import AwayError
from berth_core import ids
from berth_core.kube.cache import Cache, Key
from berth_core.kube.client import Client
from berth_core.kube.model import is_time
from berth_core.kube.reflector import Reflector
from berth_core.kube.types import Object
from berth_core.queue.order import Queues
from berth_core.queue.waiters import Waiter, waits
from berth_core.reading import at, read
from berth_core.resources import AccessRule, Instance, Reservation, WorkspaceDeployment, WorkspaceType, oldest

STALE_SECONDS: Final = 5.0
"""Lists older than this are not shown."""
BROKEN_SECONDS: Final = 1.0
"""A watch that has been broken for longer decides nothing."""
ROWS_AT_ONCE: Final = 25
"""Rows that are made anew before the event loop turns to requests."""


class Caches:
    """The public lists."""

    def __init__(self, client: Client, namespaces: Sequence[str]) -> None:
        # Parsed values only: the objects would take several times as much memory.
        self.types = Cache(partial(read, WorkspaceType), {"name": lambda t: (t.spec.type_name,)})
        self.deployments = Cache(
            _deployment,
            {
                "id": lambda d: (d.id,),
                "type": lambda d: (d.type,),
                "instance": lambda d: d.instances,
                "block": lambda d: d.blocks,
            },
        )
        self.reservations = Cache(partial(read, Reservation))
        self.rules = Cache(partial(read, AccessRule), {"deployment": lambda r: (r.spec.deployment,)})
        self.endings = Cache(Ending.of, {"id": lambda e: (e.instance,), "waiting": _waiting})
        self.all: Final[Mapping[str, Reflector[Any]]] = {
            kind.KIND: Reflector(client, kind.api(), namespaces, cache)
            for kind, cache in (
                (WorkspaceType, self.types),
                (WorkspaceDeployment, self.deployments),
                (Reservation, self.reservations),
                (AccessRule, self.rules),
                (Instance, self.endings),
            )
        }
        """The reflectors that feed them, by kind."""
        self.rows = Rows()
        self._marked: dict[Key, Marked] = {}
        self._doubts = asyncio.Event()
        self._prepared = False
        self.types.listen(self._type_changed)
        self.deployments.listen(lambda key, _, deployment: self.rows.deployment_changed(key, deployment))
        self.reservations.listen(self._reservation_changed)

    def is_synced(self) -> bool:
        """Whether everything has been listed once, and lists can be shown."""
        return self._prepared

    async def keep_rows(self) -> None:
        """Prepare the lists once everything is listed, then work off rows in doubt after changes, until cancelled."""
        for reflector in self.all.values():
            await reflector.synced()
        await self._settle()
        for order in sorted(ORDERS):
            self.rows.prepare(order)
            await asyncio.sleep(0)
        # These objects stay: searching them for garbage would stop everything for 100 ms at a time.
        gc.collect()
        gc.freeze()
        self._prepared = True
        while True:
            await self._doubts.wait()
            self._doubts.clear()
            await self._settle()

    async def _settle(self) -> None:
        while not self.rows.is_settled:
            self.rows.settle(ROWS_AT_ONCE)
            await asyncio.sleep(0)

    def _type_changed(self, key: Key, old: WorkspaceType | None, new: WorkspaceType | None) -> None:
        if new is None:
            self._marked.pop(key, None)
        elif (known := self._marked.get(key)) is None or not known.is_of(new):
            self._marked[key] = Marked.of(new)
        for name in {kind.spec.type_name for kind in (old, new) if kind is not None}:
            self.rows.type_changed(key[0], name, self.type_named(key[0], name))
        self._doubts.set()

    def _reservation_changed(self, _: Key, old: Reservation | None, new: Reservation | None) -> None:
        self.rows.reservation_changed(old, new)
        self._doubts.set()

    def need_fresh(self) -> None:
        """Raise AwayError where the lists are not there yet or may be old."""
        now = asyncio.get_running_loop().time()
        broken = {kind: reflector.broken_for(now) for kind, reflector in self.all.items()}
        for kind, seconds in broken.items():
            metrics.CACHE_BROKEN.labels(kind).set(seconds)
        if not self.is_synced() or max(broken.values()) > STALE_SECONDS:
            raise AwayError("the cluster cannot be reached. Try again later.")

    def are_current(self, kind: WorkspaceType) -> bool:
        """Whether the caches have all rules and reservations marked on a type before it was read, live.

        They need be no newer than the first version that was seen with that mark: what came later is not marked. A
        watch that has been broken for longer than a second may have missed changes made with kubectl.
        """
        namespace, known = kind.metadata.namespace, self._marked.get((kind.metadata.namespace, kind.metadata.name))
        version = known.version if known is not None and known.is_of(kind) else Marked.of(kind).version
        now = asyncio.get_running_loop().time()
        watches = [self.all[kind.KIND] for kind in (AccessRule, Reservation, Instance)]
        return all(one.version(namespace) >= version and one.broken_for(now) <= BROKEN_SECONDS for one in watches)

    def anybody_waits(self, deployment: Deployment) -> bool:
        """Whether anyone waits for a deployment, whether or not they may have it."""
        return self.queues().applying(deployment.resource) > 0 or any(
            ending.waiter is not None and ending.waiter.wants(deployment.name, deployment.type)
            for ending in self.endings.by("waiting", "yes", deployment.namespace)
        )

    def rules_of(self, deployment: Deployment) -> list[AccessRule]:
        """Access rules of a deployment."""
        return self.rules.by("deployment", deployment.name, deployment.namespace)

    def queues(self) -> Queues:
        """Queue lengths, always current."""
        return self.rows.queues

    def type_named(self, namespace: str, name: str) -> WorkspaceType | None:
        """Return the type of a deployment in a namespace; of several of that name the oldest."""
        types = self.types.by("name", name, namespace)
        return oldest(types) if types else None


class Marked(NamedTuple):
    """The mark of a type (ADR 0014), and the first resourceVersion of the type that was seen with it."""

    uid: str
    mark: str | None
    version: int

    @classmethod
    def of(cls, kind: WorkspaceType) -> Self:
        """Look at a version of a type."""
        return cls(kind.metadata.uid, kind.status.admission_mark, int(kind.metadata.resource_version))

    def is_of(self, kind: WorkspaceType) -> bool:
        """Whether another version has the same mark."""
        return (self.uid, self.mark) == (kind.metadata.uid, kind.status.admission_mark)


def _deployment(obj: Object) -> Deployment | None:
    resource = read(WorkspaceDeployment, obj)
    return Deployment.of(resource) if resource is not None else None


def _waiter(obj: Object) -> Waiter | None:
    """Waiter of an Instance made with kubectl; None where the Instance has a deployment already, as most have."""
    if at(obj, "spec", "claim") or at(obj, "status", "epoch"):
        return None  # without reading all of it
    instance = read(Instance, obj)
    return Waiter.of(instance) if instance is not None and waits(instance) else None


def _waiting(ending: "Ending") -> Iterable[str]:
    return () if ending.waiter is None else ("yes",)


@dataclass(frozen=True, slots=True)
class Ending:
    """User and end of an instance; ``expires`` is None where there is no end, or it is not known.

    ``is_kept_alive``: pings keep it, and it has not begun to end. ``waiter`` is for one that waits for a deployment.
    """

    instance: str
    """Public id."""
    user: str
    namespace: str
    name: str
    expires: str | None
    is_kept_alive: bool
    waiter: Waiter | None

    @classmethod
    def of(cls, obj: Object) -> Self:
        """Look at a resource."""
        metadata, end = obj["metadata"], at(obj, "status", "expireTime")
        namespace, name = metadata["namespace"], metadata["name"]
        public_id, user = ids.instance_id(name, metadata["uid"]), at(obj, "spec", "user")
        ends = at(obj, "status", "reason") or at(obj, "spec", "terminate") or metadata.get("deletionTimestamp")
        is_kept = at(obj, "spec", "keepAlive") is True and not ends
        return cls(public_id, user or "", namespace, name, end if is_time(end) else None, is_kept, _waiter(obj))
