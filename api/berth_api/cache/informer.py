"""Parsed and indexed values of the objects of a cache."""

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from berth_core.kube.cache import Cache, Key
from berth_core.kube.errors import UnreadableError
from berth_core.kube.types import Object
from berth_core.reading import report

Value = TypeVar("Value")


class Informer(Generic[Value]):
    """A list-and-watch cache whose objects are parsed once, when they change, and indexed by strings.

    Objects for which ``read`` returns None are not kept.
    """

    def __init__(
        self,
        cache: Cache,
        read: Callable[[Object], Value | None],
        indexes: Mapping[str, Callable[[Value], str]],
    ) -> None:
        self.cache = cache
        self._read = read
        self._values: dict[Key, Value] = {}
        self._indexers = indexes
        self._indexes: dict[str, dict[str, dict[Key, Value]]] = {name: {} for name in indexes}
        self._listeners: list[Callable[[Key, Value | None, Value | None], None]] = []
        cache.listen(self._changed)

    def listen(self, listener: Callable[[Key, Value | None, Value | None], None]) -> None:
        """Call back with ``(key, value before, value after)`` after each change; must not block."""
        self._listeners.append(listener)

    def get(self, namespace: str, name: str) -> Value | None:
        """Value by the name of its object; None where there is none."""
        return self._values.get((namespace, name))

    def by(self, index: str, value: str) -> list[Value]:
        """Values whose indexer yields ``value``."""
        return list(self._indexes[index].get(value, {}).values())

    def __iter__(self) -> Iterator[Value]:
        return iter(list(self._values.values()))

    def _changed(self, key: Key, obj: Object | None) -> None:
        old, new = self._forget(key), self._parsed(obj) if obj is not None else None
        if new is not None:
            self._values[key] = new
            for name, indexer in self._indexers.items():
                self._indexes[name].setdefault(indexer(new), {})[key] = new
        for listener in self._listeners:
            listener(key, old, new)

    def _parsed(self, obj: Object) -> Value | None:
        try:
            return self._read(obj)
        except UnreadableError as error:
            report(error)
            return None

    def _forget(self, key: Key) -> Value | None:
        value = self._values.pop(key, None)
        if value is not None:
            for name, indexer in self._indexers.items():
                entries = self._indexes[name][indexer(value)]
                del entries[key]
                if not entries:
                    del self._indexes[name][indexer(value)]
        return value
