"""One commit of a trace, and its line of JSON."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

ADDED: Final = "ADDED"
MODIFIED: Final = "MODIFIED"
DELETED: Final = "DELETED"
_OWN: Final = ("version", "event", "plural", "namespace", "name", "by", "known")


class TraceError(Exception):
    """A line is no commit; the message says which line."""


@dataclass(frozen=True)
class Commit:
    """An object after one write. ``fields`` are those that the protocol needs (docs: exclusive-lease.md)."""

    version: int
    """resourceVersion; of a write whose answer names none, that of the commit before it."""
    event: str
    """``ADDED``, ``MODIFIED`` or ``DELETED``."""
    plural: str
    namespace: str
    name: str
    by: str = ""
    """The writer, as far as it is known."""
    known: bool = False
    """Whether the object existed before the trace began: it is taken as it is, not judged."""
    fields: Mapping[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """Return its line of JSON."""
        own = {key: getattr(self, key) for key in _OWN if key != "known" or self.known}
        return json.dumps({**own, **self.fields}, separators=(",", ":"))


def read(lines: Iterable[str]) -> Iterator[Commit]:
    """Commits of a trace, in its order; empty lines are passed over.

    Raises:
        TraceError: a line is no commit.

    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield _commit(json.loads(line))
            except (ValueError, TypeError, KeyError) as error:
                raise TraceError(f"line {number} is no commit of a trace: {error}") from error


def _commit(entry: dict[str, Any]) -> Commit:
    own = {key: entry[key] for key in _OWN if key in entry}
    if own["event"] not in (ADDED, MODIFIED, DELETED):
        raise ValueError(f"event is {own['event']!r}")
    fields = {key: value for key, value in entry.items() if key not in _OWN}
    return Commit(**own | {"version": int(own["version"])}, fields=fields)
