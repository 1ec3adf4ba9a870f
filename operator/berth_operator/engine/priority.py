"""Orders keys in two lanes: one goes first, yet never blocks the other for ever.

Pure but for its state; each key waits in one lane, once. A key of the second lane that has n keys before it in its
lane is taken after at most (n + 1) * (MOST_IN_A_ROW + 1) others, whatever comes into the first.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

MOST_IN_A_ROW: Final = 31
"""Keys taken from the first lane one after the other while something waits in the second."""


class Lanes(Generic[K]):
    """Keys that wait, each with the time since when it does."""

    def __init__(self) -> None:
        self._first: OrderedDict[K, float] = OrderedDict()
        self._second: OrderedDict[K, float] = OrderedDict()
        self._in_a_row = 0

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    @property
    def hurried(self) -> bool:
        """Whether something waits in the first lane."""
        return bool(self._first)

    def put(self, key: K, now: float, *, first: bool) -> bool:
        """Let a key wait; whether it did not yet. One of the second lane may move up and keeps its age."""
        if key in self._first:
            return False
        since = self._second.get(key)
        if first:
            self._second.pop(key, None)
            self._first[key] = now if since is None else since
        elif since is None:
            self._second[key] = now
        return since is None

    def take(self) -> K:
        """Take the key whose turn it is. KeyError where none waits."""
        turn_of_second = self._in_a_row >= MOST_IN_A_ROW or not self._first
        lane = self._second if self._second and turn_of_second else self._first
        key, _ = lane.popitem(last=False)
        self._in_a_row = self._in_a_row + 1 if lane is self._first and self._second else 0
        return key

    def times(self) -> Iterator[float]:
        """Since when each key waits."""
        yield from self._first.values()
        yield from self._second.values()

    def clear(self) -> None:
        """Forget all."""
        self._first.clear()
        self._second.clear()
        self._in_a_row = 0
