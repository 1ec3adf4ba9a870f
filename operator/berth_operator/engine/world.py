"""Connections, settings and state that every pass works with."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from berth_core.archive.storage import Archive
from berth_core.kube.cache import Cache
from berth_core.kube.client import Client
from berth_core.kube.types import Kind, Object
from berth_core.reading import at
from berth_core.resources import Resource, WorkspaceDeployment, WorkspaceType, oldest
from berth_operator.engine.clock import Clock
from berth_operator.engine.workqueue import Key, WorkQueue
from berth_operator.kinds import DEPLOYMENTS, NODES, TYPES
from berth_operator.settings.config import Config

S = TypeVar("S")


class TermState(ABC):
    """State of a subject that counts only while this process leads."""

    @abstractmethod
    def clear(self) -> None:
        """Drop everything: another process leads."""


@dataclass
class World:
    """Connections, settings and state of one process. Each subject keeps its own state in it, by the state's class."""

    config: Config
    client: Client
    clock: Clock
    cache: Mapping[Kind, Cache[Object]]
    """The last seen objects of every watched kind."""
    archive: Archive | None = None
    """Where logs and artifacts of builds go; None for ConfigMaps."""
    confirm: Callable[[], Awaitable[None]] | None = None
    """Reads the leader live; raises NotLeaderError where another process leads. None where no other can."""
    term: int = 0
    """Of this process as the leader (``leading.Leadership.term``)."""
    last_event: float | None = None
    """When a watch last told something, on the monotonic clock; None before that."""
    watches_began: dict[str, float] = field(default_factory=dict)
    """When the list from which a watch begins was last answered, by the kind's plural, on the monotonic clock."""
    queue: WorkQueue = field(init=False)
    _states: dict[type[Any], Any] = field(default_factory=dict)

    def state(self, kind: type[S]) -> S:
        """Return the process's one object of a class; the first time it is made, without arguments."""
        part: S | None = self._states.get(kind)
        if part is None:
            part = self._states[kind] = kind()
        return part

    def provide(self, kind: type[S], state: S) -> None:
        """Say which object that is."""
        self._states[kind] = state

    def end_term(self) -> None:
        """Drop all state that counts only while this process leads."""
        for state in self._states.values():
            if isinstance(state, TermState):
                state.clear()

    def now(self) -> datetime:
        """Return the store's time."""
        return self.clock.now()

    def add(self, sort: str, namespace: str, name: str) -> None:
        """Ask for a pass."""
        self.queue.add(Key(sort, namespace, name))

    def deployment(self, namespace: str, name: str) -> WorkspaceDeployment | None:
        """Return a deployment as last seen."""
        obj = self.cache[DEPLOYMENTS].get(namespace, name)
        return WorkspaceDeployment.parse(obj) if obj else None

    def type_named(self, namespace: str, type_name: str) -> WorkspaceType | None:
        """Return the type that has the name in a namespace, the older one of several; None where it cannot be read."""
        types = self.types_named(namespace, type_name)
        holder = oldest(types) if types else None
        return holder if isinstance(holder, WorkspaceType) else None

    def types_named(self, namespace: str, type_name: str) -> list[Resource]:
        """Return all that say they have the name; only the metadata of those that cannot be read."""
        unreadable = self.cache[TYPES].unreadable(namespace)
        return [
            *self.cache[TYPES].models(WorkspaceType.parse, "typeName", type_name, namespace),
            *(Resource.parse(obj) for obj in unreadable if at(obj, "spec", "typeName") == type_name),
        ]

    async def find_type(self, namespace: str, type_name: str) -> WorkspaceType | None:
        """Return the type likewise, read live where none is known: it may have been made a moment ago.

        Raises:
            berth_core.kube.errors.UnreadableError: it is there, and cannot be read.

        """
        if (type_ := self.type_named(namespace, type_name)) is not None:
            return type_
        objects, _ = await self.client.list(TYPES, namespace, fields={"spec.typeName": type_name})
        for obj in objects:
            self.cache[TYPES].put(obj)
        if (type_ := self.type_named(namespace, type_name)) is not None:
            return type_
        types = [WorkspaceType.parse(obj) for obj in objects]  # one that cannot be read ends nothing that it serves
        return oldest(types) if types else None

    def node(self, name: str) -> Object | None:
        """Return a node as last seen."""
        return self.cache[NODES].get("", name) if name else None


def node_is_ready(node: Object | None) -> bool:
    """Whether a node is there and says Ready."""
    conditions = ((node or {}).get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
