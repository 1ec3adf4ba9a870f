"""The last seen version of every watched object, with the look-ups that reconciling needs.

Concurrency model: one event loop; the handlers and the writers put, the reconcilers read whole objects and never
change them. Versions only go forward: a late event does not undo what a write of ours has put, nor bring back what
was deleted. (resourceVersions are comparable as integers since Kubernetes 1.35 by contract, before that by fact.)
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from berth_core import ids, names
from berth_core.client import Kind, Object
from berth_operator.kinds import (
    ACCESS_RULES,
    DEPLOYMENTS,
    INSTANCES,
    JOBS,
    LEASES,
    NODES,
    PODS,
    RESERVATIONS,
    RULES,
    SERVICES,
    TYPES,
)
from berth_operator.podview import holder_of

ObjectKey = tuple[str, str]
Indexer = Callable[[Object], Iterable[str]]
MOST_TOMBSTONES: Final = 4096


def _field(*path: str) -> Indexer:
    def values(obj: Object) -> Iterable[str]:
        value: Any = obj
        for step in path:
            value = (value or {}).get(step)
        return (value,) if value else ()

    return values


def _public_id(obj: Object) -> Iterable[str]:
    return (ids.instance_id(obj["metadata"]["name"], obj["metadata"]["uid"]),)


def _active_deployment(obj: Object) -> Iterable[str]:
    status = obj.get("status") or {}
    return (status["deployment"],) if status.get("deployment") and not status.get("endTime") else ()


def _waiting(obj: Object) -> Iterable[str]:
    status = obj.get("status") or {}
    bound = status.get("epoch") or status.get("reason") or obj["spec"].get("claim")
    return () if bound else ("yes",)


def _opening(obj: Object) -> Iterable[str]:
    status = obj.get("status") or {}
    leased = status.get("epoch") or obj["spec"].get("claim")
    return ("yes",) if leased and not (status.get("readyTime") or status.get("reason")) else ()


def _not_granted(obj: Object) -> Iterable[str]:
    return () if (obj.get("status") or {}).get("grant") else ("yes",)


def _holder(pod: Object) -> Iterable[str]:
    return (holder,) if (holder := holder_of(pod)) else ()


def _warm(obj: Object) -> Iterable[str]:
    labels = obj["metadata"].get("labels") or {}
    return (labels[names.DEPLOYMENT_LABEL],) if names.WARM_LABEL in labels and names.DEPLOYMENT_LABEL in labels else ()


def _turn_instance(obj: Object) -> Iterable[str]:
    return (ids.turn_instance(obj["metadata"]["uid"]),)


_INDEXES: Final[dict[Kind, dict[str, Indexer]]] = {
    TYPES: {"typeName": _field("spec", "typeName")},
    DEPLOYMENTS: {
        "type": _field("spec", "type"),
        "id": lambda o: (ids.deployment_id(o["metadata"]["namespace"], o["metadata"]["name"]),),
        "holder": _field("status", "lease", "instance"),
    },
    INSTANCES: {"id": _public_id, "deployment": _active_deployment, "waiting": _waiting, "opening": _opening},
    RULES: {"instance": _field("spec", "instance")},
    RESERVATIONS: {"waiting": _not_granted, "instance": _turn_instance},
    ACCESS_RULES: {"deployment": _field("spec", "deployment")},
    PODS: {
        "instance": _holder,
        "node": _field("spec", "nodeName"),
        "warm": _warm,
    },
    SERVICES: {"instance": _field("metadata", "labels", names.INSTANCE_LABEL), "warm": _warm},
    JOBS: {"instance": _field("metadata", "labels", names.INSTANCE_LABEL)},
    LEASES: {},
    NODES: {},
}


class Store:
    """All watched objects, by kind, key and index."""

    def __init__(self) -> None:
        self._objects: dict[Kind, dict[ObjectKey, Object]] = {kind: {} for kind in _INDEXES}
        self._indexes: dict[tuple[Kind, str], dict[str, set[ObjectKey]]] = {
            (kind, index): {} for kind, indexes in _INDEXES.items() for index in indexes
        }
        self._gone: dict[tuple[Kind, ObjectKey], int] = {}

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One object, or None."""
        return self._objects[kind].get((namespace, name))

    def by(self, kind: Kind, index: str, value: str, namespace: str | None = None) -> list[Object]:
        """Objects by an index, in one namespace or in all, sorted by key."""
        keys = sorted(self._indexes[kind, index].get(value, ()))
        return [self._objects[kind][key] for key in keys if namespace in (None, key[0])]

    def all(self, kind: Kind) -> Iterator[Object]:
        """Every object of a kind."""
        return iter(list(self._objects[kind].values()))

    def put(self, kind: Kind, obj: Object) -> bool:
        """Keep an object unless a newer version is known; whether it was kept."""
        key, version = _key(obj), _version(obj)
        known = self._objects[kind].get(key)
        if known is not None and _version(known) > version:
            return False
        if self._gone.get((kind, key), -1) >= version:
            return False
        obj["metadata"].pop("managedFields", None)
        self._unindex(kind, key)
        self._objects[kind][key] = obj
        for index, values in _INDEXES[kind].items():
            for value in values(obj):
                self._indexes[kind, index].setdefault(value, set()).add(key)
        return True

    def remove(self, kind: Kind, obj: Object) -> None:
        """Forget a deleted object; later news of older versions are ignored."""
        key, version = _key(obj), _version(obj)
        known = self._objects[kind].get(key)
        if known is not None and _version(known) > version:
            return
        self._unindex(kind, key)
        self._objects[kind].pop(key, None)
        self._gone[kind, key] = version
        while len(self._gone) > MOST_TOMBSTONES:
            self._gone.pop(next(iter(self._gone)))

    def replace(self, kind: Kind, namespace: str, listed: Iterable[Object], list_version: str) -> list[Object]:
        """Take over a live list of a namespace (empty for cluster-wide kinds); what had vanished is returned."""
        found = {_key(obj): obj for obj in listed}
        vanished = [
            obj
            for key, obj in self._objects[kind].items()
            if key[0] == namespace and key not in found and _version(obj) <= int(list_version)
        ]
        for obj in vanished:
            self.remove(kind, obj)
        for obj in found.values():
            self.put(kind, obj)
        return vanished

    def _unindex(self, kind: Kind, key: ObjectKey) -> None:
        known = self._objects[kind].get(key)
        if known is None:
            return
        for index, values in _INDEXES[kind].items():
            for value in values(known):
                keys = self._indexes[kind, index].get(value, set())
                keys.discard(key)
                if not keys:
                    self._indexes[kind, index].pop(value, None)


def _key(obj: Object) -> ObjectKey:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _version(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])
