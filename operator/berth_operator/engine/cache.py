"""The last seen version of every watched object, with the look-ups that reconciling needs.

Of Berth's own kinds only readable objects are shown, so that no unreadable one stops a pass over others. Unreadable
objects are kept apart, for callers that must not take them for absent.

Concurrency model: one event loop; the handlers hear, readers and writers put, the reconcilers read and never change
what they read. Versions only go forward: a late event neither undoes a write of ours nor brings back a deleted object.
(resourceVersions are comparable as integers since Kubernetes 1.35 by contract, before that by fact.)
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

from berth_core import ids
from berth_core.kube.errors import UnreadableError
from berth_core.kube.types import Kind, Object
from berth_core.reading import report
from berth_core.resources import KINDS, Resource

R = TypeVar("R", bound=Resource)
ObjectKey = tuple[str, str]
Indexer = Callable[[Object], Iterable[str]]
MOST_TOMBSTONES: Final = 4096
_OURS: Final[dict[Kind, type[Resource]]] = {resource.api(): resource for resource in KINDS}


def index_by(*path: str) -> Indexer:
    """Return an index by the value of one field."""

    def values(obj: Object) -> Iterable[str]:
        value: Any = obj
        for step in path:
            value = (value or {}).get(step)
        return (value,) if value else ()

    return values


def public_id(obj: Object) -> str:
    """Return the public id of an Instance or a Build, which need not be readable for that."""
    return ids.instance_id(obj["metadata"]["name"], obj["metadata"]["uid"])


class Store:
    """All watched objects, by kind, key and index.

    ``indexes`` names the kinds, and how their objects are found; ``project`` says what is kept of an object.
    """

    def __init__(
        self, indexes: Mapping[Kind, Mapping[str, Indexer]], project: Callable[[Kind, Object], Object]
    ) -> None:
        self._indexers = indexes
        self._project = project
        self._objects: dict[Kind, dict[ObjectKey, Object]] = {kind: {} for kind in indexes}
        self._unreadable: dict[Kind, dict[ObjectKey, Object]] = {kind: {} for kind in indexes}
        self._indexes: dict[tuple[Kind, str], dict[str, set[ObjectKey]]] = {
            (kind, index): {} for kind, indexers in indexes.items() for index in indexers
        }
        self._models: dict[tuple[Kind, ObjectKey], Resource] = {}
        self._gone: dict[tuple[Kind, ObjectKey], int] = {}
        self._unheard: set[tuple[Kind, ObjectKey]] = set()
        """Objects that were put and of which no watch has told since."""

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One object, or None."""
        return self._objects[kind].get((namespace, name))

    def by(self, kind: Kind, index: str, value: str, namespace: str | None = None) -> list[Object]:
        """Objects by an index, in one namespace or in all, sorted by key."""
        keys = sorted(self._indexes[kind, index].get(value, ()))
        return [self._objects[kind][key] for key in keys if namespace in (None, key[0])]

    def models(self, resource: type[R], index: str, value: str, namespace: str | None = None) -> list[R]:
        """Models of the same objects. Each version is parsed once: each pass of a waiter looks at all waiters."""
        return [self._model(resource, obj) for obj in self.by(resource.api(), index, value, namespace)]

    def counts(self, kind: Kind, index: str) -> Iterator[tuple[str, int]]:
        """How many objects there are by each value of an index."""
        return ((value, len(keys)) for value, keys in self._indexes[kind, index].items())

    def all(self, kind: Kind) -> Iterator[Object]:
        """Every object of a kind."""
        return iter(list(self._objects[kind].values()))

    def unreadable(self, kind: Kind, namespace: str | None = None) -> list[Object]:
        """Objects that are there and cannot be read, in one namespace or in all. Nothing holds for their form."""
        return [obj for key, obj in self._unreadable[kind].items() if namespace in (None, key[0])]

    def unreadable_one(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One of those, or None."""
        return self._unreadable[kind].get((namespace, name))

    def put(self, kind: Kind, obj: Object) -> bool:
        """Keep the answer of a write or a read, unless a newer version is known; return whether it is the newest."""
        key, version = key_of(obj), version_of(obj)
        known = self._known(kind, key)
        if known < version:
            self._keep(kind, key, obj)
            self._unheard.add((kind, key))
        return known <= version and key in self._objects[kind]

    def hear(self, kind: Kind, obj: Object) -> bool:
        """Keep an object that a watch tells of; return whether it is news, on which no pass has acted.

        An object that was put is news until it was heard, or :meth:`all_heard` was called.
        """
        key, version = key_of(obj), version_of(obj)
        known = self._known(kind, key)
        if known > version:
            return False
        if known < version:
            self._keep(kind, key, obj)
            self._unheard.discard((kind, key))
            return True
        unheard = (kind, key) in self._unheard
        self._unheard.discard((kind, key))
        return unheard

    def all_heard(self) -> None:
        """Take note that there will be a pass over everything that is known."""
        self._unheard.clear()

    def remove(self, kind: Kind, obj: Object) -> None:
        """Forget a deleted object; later news of older versions are ignored."""
        key, version = key_of(obj), version_of(obj)
        known = self._newest(kind, key)
        if known is not None and version_of(known) > version:
            return
        self._drop(kind, key)
        self._unheard.discard((kind, key))
        self._gone[kind, key] = version
        while len(self._gone) > MOST_TOMBSTONES:
            self._gone.pop(next(iter(self._gone)))

    def retain(self, kind: Kind, namespace: str, listed: Container[ObjectKey], version: str) -> list[Object]:
        """Forget and return what a live list of a namespace (empty for cluster-wide kinds) shows to have vanished.

        ``version`` is the list's; younger objects stay.
        """
        vanished = [
            obj
            for key, obj in (*self._objects[kind].items(), *self._unreadable[kind].items())
            if key[0] == namespace and key not in listed and version_of(obj) <= int(version)
        ]
        for obj in vanished:
            self.remove(kind, obj)
        return vanished

    def _model(self, resource: type[R], obj: Object) -> R:
        key = resource.api(), key_of(obj)
        model = self._models.get(key)
        if not isinstance(model, resource):
            model = self._models[key] = resource.parse(obj)
        return model

    def _known(self, kind: Kind, key: ObjectKey) -> int:
        """Newest version that is known of an object, or of its deletion; -1 where there is none."""
        known = self._newest(kind, key)
        return version_of(known) if known is not None else self._gone.get((kind, key), -1)

    def _newest(self, kind: Kind, key: ObjectKey) -> Object | None:
        return self._objects[kind].get(key) or self._unreadable[kind].get(key)

    def _drop(self, kind: Kind, key: ObjectKey) -> None:
        self._unindex(kind, key)
        self._objects[kind].pop(key, None)
        self._unreadable[kind].pop(key, None)
        self._models.pop((kind, key), None)

    def _keep(self, kind: Kind, key: ObjectKey, obj: Object) -> None:
        self._drop(kind, key)
        kept = shown(kind, self._project(kind, obj))
        if kept is None:
            self._unreadable[kind][key] = obj
            return
        self._objects[kind][key] = kept
        for index, values in self._indexers[kind].items():
            for value in values(kept):
                self._indexes[kind, index].setdefault(value, set()).add(key)

    def _unindex(self, kind: Kind, key: ObjectKey) -> None:
        known = self._objects[kind].get(key)
        if known is None:
            return
        for index, values in self._indexers[kind].items():
            for value in values(known):
                keys = self._indexes[kind, index].get(value, set())
                keys.discard(key)
                if not keys:
                    self._indexes[kind, index].pop(value, None)


def key_of(obj: Object) -> ObjectKey:
    """Namespace, empty for cluster-wide kinds, and name."""
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def version_of(obj: Object) -> int:
    """Return the resourceVersion."""
    return int(obj["metadata"]["resourceVersion"])


def shown(kind: Kind, obj: Object) -> Object | None:
    """Return an object as passes see it; None where it cannot be read and nothing stands in for it."""
    resource = _OURS.get(kind)
    if resource is None:
        return obj
    try:
        resource.parse(obj)
    except UnreadableError as error:
        report(error)
        other = resource.stand_in(obj)
        return other.wire() | {"metadata": obj["metadata"]} if other is not None else None
    return obj
