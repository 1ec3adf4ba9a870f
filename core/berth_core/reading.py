"""Reads objects one by one, so that an unreadable one does not affect the others.

The API server checks an object against the schema that is current when it is written. A list may hold an object that
the models refuse, after a change of the schema, or where the schema accepts more than the models.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Final, TypeVar

import structlog
from prometheus_client import Counter

from berth_core.kube.errors import UnreadableError
from berth_core.kube.types import Object
from berth_core.resources.base import Resource

log = structlog.get_logger(__name__)

R = TypeVar("R", bound=Resource)

UNREADABLE: Final = Counter(
    "berth_unreadable_objects", "Versions of objects that this process could not read.", ["kind"]
)
MOST_REMEMBERED: Final = 4096
_reported: Final[OrderedDict[tuple[str, str, str], str]] = OrderedDict()
"""Last version that was reported, by kind, namespace and name."""


def report(error: UnreadableError) -> None:
    """Log and count an object that cannot be read, once for each of its versions."""
    key = error.kind, error.namespace, error.name
    if _reported.get(key) == error.version:
        return
    _reported[key] = error.version
    _reported.move_to_end(key)
    while len(_reported) > MOST_REMEMBERED:
        _reported.popitem(last=False)
    UNREADABLE.labels(error.kind).inc()
    log.error("object cannot be read", kind=error.kind, namespace=error.namespace, name=error.name, why=error.why)


def read(kind: type[R], obj: Object) -> R | None:
    """Read one of several objects. An unreadable one is reported, and replaced by its kind's stand-in, if any."""
    try:
        return kind.parse(obj)
    except UnreadableError as error:
        report(error)
        return kind.stand_in(obj)


def readable(kind: type[R], objects: Iterable[Object]) -> list[R]:
    """Read objects, and leave out unreadable ones that have no stand-in."""
    return [resource for obj in objects if (resource := read(kind, obj)) is not None]


def at(obj: Any, *path: str) -> Any:
    """Return the value at a path of an object that may break its schema; None where the path ends early."""
    for step in path:
        if not isinstance(obj, dict):
            return None
        obj = obj.get(step)
    return obj
