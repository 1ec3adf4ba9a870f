"""The content of etcd: the objects, their versions, and the changes since the last compaction."""

import bisect
from collections.abc import Callable, Iterator
from typing import Final

import orjson

from berth_core.kube.types import Object

from ..wire import Commit, Request
from .kinds import Resource
from .owners import Owners, Written

Key = tuple[str, str]
"""Namespace (empty for kinds without) and name."""
ADDED: Final = "ADDED"
MODIFIED: Final = "MODIFIED"
DELETED: Final = "DELETED"


class Gone(Exception):  # noqa: N818 (as the HTTP status is called)
    """The version was compacted away."""


class Entry:
    """A stored object, and who owns its fields. Both are replaced and never mutated."""

    __slots__ = ("_raw", "object", "owners")

    def __init__(self, obj: Object, owners: Owners | Written) -> None:
        self.object = obj
        self.owners = owners
        self._raw: bytes | None = None

    def copy(self) -> Object:
        """Return a copy that may be mutated."""
        if self._raw is None:
            self._raw = orjson.dumps(self.object)
        copy: Object = orjson.loads(self._raw)
        return copy


class Change:
    """One committed change: the entry as it is then (of a deletion: as it was last), and the one before."""

    __slots__ = ("before", "entry", "event", "key", "version")

    def __init__(self, version: int, event: str, key: Key, entry: Entry, before: Entry | None) -> None:
        self.version, self.event, self.key, self.entry, self.before = version, event, key, entry, before


class History:
    """Objects by kind and key with their changes."""

    def __init__(self) -> None:
        self.version = 1
        self.compacted = 0
        self.entries: dict[str, dict[Key, Entry]] = {}
        self.changes: dict[str, list[Change]] = {}
        self.listeners: list[Callable[[Commit], None]] = []

    def find(self, resource: Resource, key: Key) -> Entry | None:
        """Return an object's entry."""
        kept = self.entries.get(resource.plural)
        return None if kept is None else kept.get(key)

    def commit(self, resource: Resource, event: str, key: Key, entry: Entry, request: Request | None) -> Entry:
        """Write an object, or take it away, at the next version; the entry with that version."""
        self.version += 1
        metadata = entry.object["metadata"] | {"resourceVersion": str(self.version)}
        made = Entry(entry.object | {"metadata": metadata}, entry.owners)
        kept = self.entries.setdefault(resource.plural, {})
        before = kept.get(key)
        if event == DELETED:
            del kept[key]
        else:
            kept[key] = made
        self.changes.setdefault(resource.plural, []).append(Change(self.version, event, key, made, before))
        told = Commit(
            self.version, event, resource.plural, made.object, None if before is None else before.object, request
        )
        for listener in self.listeners:
            listener(told)
        return made

    def after(self, plural: str, version: int) -> Iterator[Change]:
        """Yield a kind's changes after a version, in order.

        Raises:
            Gone: the version was compacted.

        """
        if version < self.compacted:
            raise Gone(f"too old resource version: {version} ({self.compacted})")
        changes = self.changes.get(plural) or []
        yield from changes[bisect.bisect_right(changes, version, key=lambda change: change.version) :]

    def as_of(self, resource: Resource, version: int) -> dict[Key, Entry]:
        """Return a kind's entries at a version, from the changes after it.

        Raises:
            Gone: the version was compacted.

        """
        kept = dict(self.entries.get(resource.plural) or {})
        for change in reversed(list(self.after(resource.plural, version))):
            if change.before is None:
                kept.pop(change.key, None)
            else:
                kept[change.key] = change.before
        return kept

    def compact(self, version: int) -> None:
        """Forget the changes up to a version."""
        self.compacted = max(self.compacted, version)
        for plural, changes in self.changes.items():
            kept = bisect.bisect_right(changes, self.compacted, key=lambda change: change.version)
            self.changes[plural] = changes[kept:]
