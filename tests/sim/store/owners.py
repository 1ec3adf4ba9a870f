"""Owners of the fields of an object (Kubernetes: Server-Side Apply, field management).

A path is a tuple of field names and of list items: an item is the tuple of its keys' values, or of the value itself.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from berth_core.kube.types import Object

from .kinds import Resource
from .schema import Node
from .trees import MISSING

Path = tuple[Any, ...]
Paths = frozenset[Path]
Manager = tuple[str, str, str]
"""Name, Apply or Update, subresource."""
NOBODYS: Final = frozenset(
    ("metadata", name)
    for name in (
        "name",
        "generateName",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
    )
) | {("apiVersion",), ("kind",)}
ALLOCATED: Final = frozenset(
    {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "nodePort", "healthCheckNodePort"}
)
"""Fields of a Service that the API server sets after it has looked at who owns what."""


@dataclass(frozen=True)
class Shape:
    """How a value merges: as a whole, by fields, as a list of items by key, or as a set."""

    atomic: bool = False
    keys: tuple[str, ...] = ()
    set: bool = False
    fields: Mapping[str, "Shape"] = field(default_factory=dict)
    other: "Shape | None" = None
    """Of a field that is not among ``fields``, and of items."""

    def of(self, name: str) -> "Shape":
        """Return a field's shape."""
        return self.fields.get(name) or self.other or PLAIN

    def item(self, value: Any) -> Path:
        """Return the path element of a list's item; a key that is missing has its default."""
        if self.set:
            return (value,)
        return tuple(value.get(key, "TCP" if key == "protocol" else None) for key in self.keys)


PLAIN: Final = Shape()
ATOMIC: Final = Shape(atomic=True)
_METADATA: Final = Shape(fields={"finalizers": Shape(set=True), "ownerReferences": Shape(keys=("uid",), other=ATOMIC)})
_SPECS: Final[dict[str, dict[str, Shape]]] = {
    "services": {"ports": Shape(keys=("port", "protocol"), other=PLAIN), "selector": ATOMIC},
    "networkpolicies": {"podSelector": ATOMIC},
    "poddisruptionbudgets": {"selector": ATOMIC},
}

_NEW: Final[dict[str, Object]] = {"networkpolicies": {"spec": {"podSelector": {}}}}
"""Fields that objects of a kind have before anything is said of them: nobody owns these."""


@cache
def shape_of(resource: Resource) -> Shape:
    """Return the shape of a kind's objects."""
    if resource.schema is None:
        return Shape(fields={"metadata": _METADATA, "spec": Shape(fields=_SPECS.get(resource.plural, {}))})
    made = _shape(resource.schema)
    return Shape(fields={**made.fields, "metadata": _METADATA})


def _shape(node: Node) -> Shape:
    if node.items is not None:
        return Shape(keys=node.keys, other=_shape(node.items)) if node.keys else ATOMIC
    fields = {name: _shape(inner) for name, inner in node.properties.items()}
    return Shape(fields=fields, other=None if node.additional is None else _shape(node.additional))


def leaves(value: Any, shape: Shape, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the fields of a value that can be owned, with their values; of items the item itself too (MISSING)."""
    if path in NOBODYS:
        return
    if isinstance(value, dict) and value and not shape.atomic:
        for name, inner in value.items():
            yield from leaves(inner, shape.of(name), (*path, name))
    elif isinstance(value, list) and (shape.keys or shape.set):
        for inner in value:
            item = (*path, shape.item(inner))
            yield item, MISSING
            if shape.keys:
                yield from leaves(inner, shape.other or PLAIN, item)
    else:
        yield path, value


class Written:
    """One write of an object that was no apply, and those before it."""

    __slots__ = ("after", "before", "earlier", "manager")

    def __init__(self, earlier: "Owners | Written", manager: Manager, before: Object | None, after: Object) -> None:
        self.earlier, self.manager, self.before, self.after = earlier, manager, before, after


Owners = dict[Manager, Paths]


def owners_of(resource: Resource, known: Owners | Written) -> Owners:
    """Return who owns what, after all writes."""
    writes = []
    while isinstance(known, Written):
        writes.append(known)
        known = known.earlier
    owners = dict(known)
    for write in reversed(writes):
        changed, removed = differences(resource, write.before, write.after, allocated=False)
        for manager, paths in list(owners.items()):
            if manager != write.manager:
                owners[manager] = paths - changed - removed
        owners[write.manager] = (owners.get(write.manager, frozenset()) - removed) | changed
    return {manager: paths for manager, paths in owners.items() if paths}


def differences(
    resource: Resource, before: Object | None, after: Object, *, allocated: bool = True
) -> tuple[Paths, Paths]:
    """Return the fields that were added or changed, and those that were taken away."""
    shape = shape_of(resource)
    before = _NEW.get(resource.plural, {}) if before is None else before
    held, holding = _containers(before, shape, ()), _containers(after, shape, ())
    old = {path: value for path, value in leaves(before, shape) if path not in held}
    new = {path: value for path, value in leaves(after, shape) if path not in holding}
    changed = frozenset(path for path, value in new.items() if path not in old or old[path] != value)
    changed |= holding - held
    if not allocated and resource.plural == "services":
        changed = frozenset(path for path in changed if path[-1] not in ALLOCATED)
    return changed, frozenset(path for path in old if path not in new) | (held - holding)


def _containers(value: Any, shape: Shape, path: Path) -> Paths:
    """Return where there is an object or a list that is not owned as a whole: that it is there can be owned too."""
    if path in NOBODYS or shape.atomic:
        return frozenset()
    found = {path} if path else set()
    if isinstance(value, dict):
        for name, inner in value.items():
            found |= _containers(inner, shape.of(name), (*path, name))
        return frozenset(found)
    return frozenset(found) if isinstance(value, list) and (shape.keys or shape.set) else frozenset()
