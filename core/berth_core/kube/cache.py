"""A list-and-watch cache of one kind.

One task owns the store; readers on the same event loop see whole objects and never wait. After a break the
watch goes on from the last resourceVersion. When that is too old (410), the collection is listed again: listeners
hear of objects that changed meanwhile, and of vanished ones as deleted. A list is read and stored in small pieces,
between which the event loop serves other tasks: meanwhile readers see a mix of older and newer objects.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import structlog

from berth_core.kube import errors
from berth_core.kube.client import Client
from berth_core.kube.types import Kind, Object

log = structlog.get_logger(__name__)

Key = tuple[str, str]
"""(namespace, name)"""
Indexer = Callable[[Object], Iterable[str]]
Listener = Callable[[Key, Object | None], None]
Keep = Callable[[Object], Object]

FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 5.0
PIECE: Final = 25
"""Objects of a list that are stored before other tasks run on the event loop."""
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def key_of(obj: Object) -> Key:
    """Namespace and name of an object; the namespace is empty for cluster-wide ones."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def whole(obj: Object) -> Object:
    """Keep all of an object."""
    return obj


def nothing(_: Object) -> Object:
    """Keep nothing but the key: for caches that only tell their listeners."""
    return _NOTHING


_NOTHING: Final[Object] = {}


class Cache:
    """All objects of one kind in some namespaces (None: in all), by key and by index.

    ``keep`` reduces an object to the part that readers need. Indexers and listeners get the whole object, without
    its bookkeeping (managed fields, kubectl's copy), which takes more memory than all the rest.
    ``longest_delay`` is the longest pause, in seconds, between attempts at a watch that fail.
    """

    def __init__(
        self,
        client: Client,
        kind: Kind,
        namespaces: Iterable[str] | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        indexers: Mapping[str, Indexer] | None = None,
        keep: Keep = whole,
        longest_delay: float = LONGEST_DELAY,
    ) -> None:
        self._client = client
        self._kind = kind
        self._scopes: list[str | None] = [None] if namespaces is None else list(namespaces)
        self._labels = labels
        self._indexers = dict(indexers or {})
        self._keep = keep
        self._longest_delay = longest_delay
        self._objects: dict[Key, Object] = {}
        self._versions: dict[Key, str] = {}
        self._indexes: dict[str, dict[str, set[Key]]] = {name: {} for name in self._indexers}
        self._indexed: dict[Key, list[tuple[str, str]]] = {}
        self._listeners: list[Listener] = []
        self._unlisted = {scope: asyncio.Event() for scope in self._scopes}
        self._broken_since: dict[str | None, float] = {}
        self._seen: dict[str | None, int] = {}

    def listen(self, listener: Listener) -> None:
        """Call back with ``(key, object or None)`` after each change; must not block."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Keep the cache current until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for scope in self._scopes:
                tasks.create_task(self._follow(scope))

    async def synced(self) -> None:
        """Wait until every namespace has been listed once."""
        for event in self._unlisted.values():
            await event.wait()

    @property
    def is_synced(self) -> bool:
        """Whether every namespace has been listed once."""
        return all(event.is_set() for event in self._unlisted.values())

    def broken_for(self, monotonic_now: float) -> float:
        """Seconds since the oldest break of a watch that is still broken; 0 when all watches stand."""
        return max((monotonic_now - since for since in self._broken_since.values()), default=0.0)

    def seen(self, namespace: str) -> int:
        """Greatest resourceVersion up to which the cache has all changes of a namespace; 0 before the first list.

        It is comparable, as an integer, with those of other kinds of the same API group: by contract since Kubernetes
        1.35 within a kind, and in fact within one etcd.
        """
        return self._seen.get(None if self._scopes == [None] else namespace, 0)

    def get(self, namespace: str, name: str) -> Object | None:
        """One object, or None."""
        return self._objects.get((namespace, name))

    def by(self, index: str, value: str) -> list[Object]:
        """Objects whose indexer named ``index`` yields the value, in no special order."""
        return [self._objects[key] for key in self._indexes[index].get(value, ())]

    def __iter__(self) -> Iterator[Object]:
        return iter(list(self._objects.values()))

    def __len__(self) -> int:
        return len(self._objects)

    async def _follow(self, scope: str | None) -> None:
        loop = asyncio.get_running_loop()
        delay, version = FIRST_DELAY, None

        def stands() -> None:
            # Only once the server has accepted the watch: a failed attempt must not make the break look new.
            self._broken_since.pop(scope, None)

        while True:
            pause = FIRST_DELAY
            try:
                if version is None:
                    version = await self._relist(scope)
                async for event in self._client.watch(self._kind, scope, version, labels=self._labels, opened=stands):
                    version, delay = event.object["metadata"]["resourceVersion"], FIRST_DELAY
                    if event.type == "DELETED":
                        self._remove(key_of(event.object))
                    elif event.type != "BOOKMARK":
                        self._store(event.object)
                    self._seen[scope] = int(version)
            except errors.GoneError:
                version = None
            except errors.ClusterError as error:
                log.warning("watch broke", kind=self._kind.plural, namespace=scope, error=error.message)
                pause, delay = delay, min(delay * 2, self._longest_delay)
            # Servers end watches from time to time. Until the next watch stands, no changes arrive.
            self._broken_since.setdefault(scope, loop.time())
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)

    async def _relist(self, scope: str | None) -> str:
        self._seen.pop(scope, None)
        listed, version = set[Key](), ""
        async for objects, as_of in self._client.pages(self._kind, scope, labels=self._labels):
            version = as_of
            for number, obj in enumerate(objects):
                key = key_of(obj)
                listed.add(key)
                if self._versions.get(key) != obj["metadata"]["resourceVersion"]:
                    self._store(obj)
                if number % PIECE == PIECE - 1:
                    await asyncio.sleep(0)
        for key in [key for key in self._objects if scope in (None, key[0]) and key not in listed]:
            self._remove(key)
        self._seen[scope] = int(version)
        self._unlisted[scope].set()
        return version

    def _store(self, obj: Object) -> None:
        key = key_of(obj)
        _strip(obj["metadata"])
        self._unindex(key)
        self._objects[key] = self._keep(obj)
        self._versions[key] = obj["metadata"]["resourceVersion"]
        if self._indexers:
            self._indexed[key] = [(name, value) for name, indexer in self._indexers.items() for value in indexer(obj)]
        for name, value in self._indexed.get(key, ()):
            self._indexes[name].setdefault(value, set()).add(key)
        self._tell(key, obj)

    def _remove(self, key: Key) -> None:
        self._unindex(key)
        if self._objects.pop(key, None) is not None:
            del self._versions[key]
            self._tell(key, None)

    def _unindex(self, key: Key) -> None:
        for name, value in self._indexed.pop(key, ()):
            keys = self._indexes[name].get(value, set())
            keys.discard(key)
            if not keys:
                self._indexes[name].pop(value, None)

    def _tell(self, key: Key, obj: Object | None) -> None:
        for listener in self._listeners:
            listener(key, obj)


def _strip(metadata: Object) -> None:
    metadata.pop("managedFields", None)
    annotations = metadata.get("annotations")
    if annotations is not None:
        annotations.pop(_LAST_APPLIED, None)
