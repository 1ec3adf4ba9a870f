"""The caches of the operator: how objects are indexed, and which of them passes see."""

from collections.abc import Iterable
from typing import Any, Final

from berth_core import ids
from berth_core.kube import cache
from berth_core.kube.errors import UnreadableError
from berth_core.kube.types import Kind, Object
from berth_core.reading import report
from berth_core.resources import KINDS, Resource

Indexer = cache.Indexer[Object]
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


def view(kind: Kind, obj: Object) -> Object | None:
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
