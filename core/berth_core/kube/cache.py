"""The last seen objects of one kind, with the look-ups that readers need. Pure.

Watches, reads and writes of one event loop feed it; its readers never change what they read. Versions only go forward:
a late event neither undoes a write of ours nor brings back a deleted object. (resourceVersions are comparable as
integers since Kubernetes 1.35 by contract, before that by fact.)
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

from berth_core.kube.types import Object

Value = TypeVar("Value")
M = TypeVar("M")
Key = tuple[str, str]
"""(namespace, name); the namespace is empty for cluster-wide kinds."""
Indexer = Callable[[Value], Iterable[str]]
MOST_TOMBSTONES: Final = 1024
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


class Cache(Generic[Value]):
    """Objects of one kind as ``read`` shows them, by key and by index.

    Objects for which ``read`` returns None cannot be read. They are kept apart as they are, so that none stops a pass
    over others, for callers that must not take them for absent.
    """

    def __init__(
        self,
        read: Callable[[Object], Value | None],
        indexes: Mapping[str, Indexer[Value]] | None = None,
    ) -> None:
        self._read = read
        self._values: dict[Key, Value] = {}
        self._unreadable: dict[Key, Object] = {}
        self._versions: dict[Key, int] = {}
        self._indexes: dict[str, tuple[Indexer[Value], dict[str, dict[Key, Value]]]] = {
            name: (values, {}) for name, values in (indexes or {}).items()
        }
        self._models: dict[Key, Any] = {}
        self._gone: dict[Key, int] = {}
        """Tombstones: versions of deletions."""
        self._unheard: set[Key] = set()
        """Objects that were put and of which no watch has told since."""
        self._listeners: list[Callable[[Key, Value | None, Value | None], None]] = []

    def listen(self, listener: Callable[[Key, Value | None, Value | None], None]) -> None:
        """Call back with ``(key, value before, value after)`` after each change; must not block."""
        self._listeners.append(listener)

    def get(self, namespace: str, name: str) -> Value | None:
        """One object, or None."""
        return self._values.get((namespace, name))

    def by(self, index: str, value: str, namespace: str | None = None) -> list[Value]:
        """Objects by an index: in one namespace, sorted by name, or in all, in no special order."""
        entries = self._indexes[index][1].get(value, {})
        if namespace is None:
            return list(entries.values())
        return [entries[key] for key in sorted(entries) if key[0] == namespace]

    def models(self, parse: Callable[[Value], M], index: str, value: str, namespace: str) -> list[M]:
        """Models of the same objects, by the one ``parse`` of a cache. Each version is parsed once.

        (Each pass of a waiter looks at all waiters.)
        """
        entries, models = self._indexes[index][1].get(value, {}), self._models
        keys = [key for key in sorted(entries) if key[0] == namespace]
        for key in keys:
            if key not in models:
                models[key] = parse(entries[key])
        return [models[key] for key in keys]

    def counts(self, index: str) -> Iterator[tuple[str, int]]:
        """How many objects there are by each value of an index."""
        return ((value, len(entries)) for value, entries in self._indexes[index][1].items())

    def __iter__(self) -> Iterator[Value]:
        return iter(list(self._values.values()))

    def __len__(self) -> int:
        return len(self._values)

    def unreadable(self, namespace: str | None = None) -> list[Object]:
        """Objects that are there and cannot be read, in one namespace or in all. Nothing holds for their form."""
        return [obj for key, obj in self._unreadable.items() if namespace in (None, key[0])]

    def unreadable_one(self, namespace: str, name: str) -> Object | None:
        """One of those, or None."""
        return self._unreadable.get((namespace, name))

    def put(self, obj: Object) -> bool:
        """Keep the answer of a write or a read, unless a newer version is known; return whether it is the newest."""
        key, version = key_of(obj), version_of(obj)
        known = self._known(key)
        if known < version:
            self._keep(key, version, obj)
            self._unheard.add(key)
        return known <= version and key in self._values

    def hear(self, obj: Object) -> bool:
        """Keep an object that a watch tells of; return whether it is news, on which no pass has acted.

        An object that was put is news until it was heard, or :meth:`all_heard` was called.
        """
        key, version = key_of(obj), version_of(obj)
        known = self._known(key)
        if known > version:
            return False
        news = known < version or key in self._unheard
        self._unheard.discard(key)
        if known < version:
            self._keep(key, version, obj)
        return news

    def all_heard(self) -> None:
        """Take note that there will be a pass over everything that is known."""
        self._unheard.clear()

    def remove(self, obj: Object) -> None:
        """Forget a deleted object; later news of older versions are ignored."""
        self._bury(key_of(obj), version_of(obj))

    def retain(self, namespace: str, present: Container[Key], version: str) -> list[Value | Object]:
        """Forget and return what a live list of a namespace (empty for cluster-wide kinds) shows to have vanished.

        ``version`` is the list's; younger objects stay.
        """
        as_of = int(version)
        keys = [key for key, newest in self._versions.items() if key[0] == namespace and newest <= as_of]
        vanished = [key for key in keys if key not in present]
        objects = [self._values[key] if key in self._values else self._unreadable[key] for key in vanished]
        for key in vanished:
            self._bury(key, self._versions[key])
        return objects

    def _known(self, key: Key) -> int:
        """Newest version that is known of an object, or of its deletion; -1 where there is none."""
        return self._versions.get(key) or self._gone.get(key, -1)

    def _keep(self, key: Key, version: int, obj: Object) -> None:
        new = self._read(obj)
        old = self._drop(key) if key in self._versions else None
        self._versions[key] = version
        if new is None:
            self._unreadable[key] = obj
        else:
            self._values[key] = new
            for values, entries in self._indexes.values():
                for value in values(new):
                    entries.setdefault(value, {})[key] = new
        self._tell(key, old, new)

    def _bury(self, key: Key, version: int) -> None:
        if self._known(key) > version:
            return
        self._unheard.discard(key)
        self._gone[key] = version
        while len(self._gone) > MOST_TOMBSTONES:
            self._gone.pop(next(iter(self._gone)))
        if key in self._versions:
            self._tell(key, self._drop(key), None)

    def _drop(self, key: Key) -> Value | None:
        del self._versions[key]
        self._models.pop(key, None)
        old = self._values.pop(key, None)
        if old is None:
            del self._unreadable[key]
            return None
        for values, entries in self._indexes.values():
            for value in values(old):
                same = entries[value]
                del same[key]
                if not same:
                    del entries[value]
        return old

    def _tell(self, key: Key, old: Value | None, new: Value | None) -> None:
        for listener in self._listeners:
            listener(key, old, new)


def key_of(obj: Object) -> Key:
    """Namespace, empty for cluster-wide kinds, and name."""
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def version_of(obj: Object) -> int:
    """Return the resourceVersion."""
    return int(obj["metadata"]["resourceVersion"])


def strip_bookkeeping(obj: Object) -> Object:
    """Take managed fields and kubectl's copy off an object, which take more memory than the rest; return it."""
    metadata = obj["metadata"]
    metadata.pop("managedFields", None)
    if annotations := metadata.get("annotations"):
        annotations.pop(_LAST_APPLIED, None)
    return obj
