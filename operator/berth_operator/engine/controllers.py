"""Subjects of the operator: kinds that they watch, and passes that they make. ``registry`` lists them."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from berth_core.kube.types import Kind, Object
from berth_operator.engine.cache import Indexer, view
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import World
from berth_operator.kinds import RELIST

Pass = Callable[[World, Key], Awaitable[float | None]]
"""Brings a key's object up to date; returns the seconds after which it wants the key again."""
Wake = Callable[[World, Object, bool], None]
"""Puts the keys into the work queue that an object's change concerns; True where it was deleted."""
NO_LABELS: Final[Mapping[str, str]] = {}


@dataclass(frozen=True)
class Watch:
    """A kind that a subject watches. Several subjects can watch one kind."""

    kind: Kind
    wake: Wake | None = None
    indexes: Mapping[str, Indexer] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that choose the objects; one subject at most names them."""
    concerns_nobody: Callable[[Object | None, Object], bool] | None = None
    """Whether a change, from one version to another, wakes no pass."""
    optional: bool = False
    """Whether a cluster may lack the kind: then there are no objects of it."""
    on_list: Callable[[World, str, int], None] | None = None
    """Told of each list of all: its namespace and resourceVersion. Such kinds are listed after the others."""


@dataclass(frozen=True)
class Controller:
    """One subject."""

    watches: Sequence[Watch] = ()
    passes: Mapping[str, Pass] = field(default_factory=dict)
    """By sort of key."""
    objects: Mapping[str, Kind] = field(default_factory=dict)
    """Kind of the object that keys of a sort name: an Event on it tells of passes that keep failing."""
    sweeps: Sequence[str] = ()
    """Sorts whose one key, without a name, is asked for with every list of everything."""
    relisted: Callable[[World], Awaitable[None]] | None = None
    """Called when everything was listed, before the passes over it."""
    background: Sequence[Callable[[World], Coroutine[Any, Any, None]]] = ()
    """Runs for as long as this process leads."""


class Controllers:
    """All subjects of a process."""

    def __init__(self, controllers: Iterable[Controller] = ()) -> None:
        self.all: Final = tuple(controllers)
        self.watches: Final[dict[Kind, list[Watch]]] = {}
        for watch in (watch for one in self.all for watch in one.watches):
            self.watches.setdefault(watch.kind, []).append(watch)
        self.passes: Final = {sort: reconcile for one in self.all for sort, reconcile in one.passes.items()}
        self.objects: Final = {sort: kind for one in self.all for sort, kind in one.objects.items()}

    @property
    def indexes(self) -> dict[Kind, dict[str, Indexer]]:
        """Indexes of each kind that is watched, by name."""
        return {
            kind: {name: index for watch in watches for name, index in watch.indexes.items()}
            for kind, watches in self.watches.items()
        }

    def labels(self, kind: Kind) -> Mapping[str, str]:
        """Labels that choose the objects of a kind."""
        return next((watch.labels for watch in self.watches[kind] if watch.labels), NO_LABELS)

    def optional(self, kind: Kind) -> bool:
        """Whether a cluster may lack a kind."""
        return any(watch.optional for watch in self.watches[kind])

    def concerns_nobody(self, kind: Kind, before: Object | None, after: Object) -> bool:
        """Whether a change wakes no pass."""
        return any(one.concerns_nobody(before, after) for one in self.watches[kind] if one.concerns_nobody is not None)


def wake(world: World, kind: Kind, obj: Object, *, gone: bool = False) -> None:
    """Put the keys that an object's change concerns into the work queue."""
    for watch in world.state(Controllers).watches[kind]:
        if watch.wake is not None:
            watch.wake(world, obj, gone)


def wake_gone(world: World, kind: Kind, obj: Object) -> None:
    """Do the same for a deleted object; one that cannot be read may have concerned anything."""
    last = view(kind, obj)
    if last is None:
        world.add(RELIST, "", "")
    else:
        wake(world, kind, last, gone=True)
