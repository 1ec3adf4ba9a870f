"""Which Deliveries wait, and since when they are due. No I/O; ``now`` is a parameter.

Concurrency model: one event loop. The cache tells of changes, attempts tell of theirs; both only set times here.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from berth_core.kube.cache import Key

MOST_AT_ONCE: Final = 32
MOST_TO_ONE_HOST: Final = 4
"""Attempts under way, so that one receiver that is slow does not hold up the others."""


class Pending:
    """Deliveries that are not over, by key: when each is due, and what is under way."""

    def __init__(self) -> None:
        self._due: dict[Key, tuple[datetime, str]] = {}
        self._active: dict[Key, str] = {}
        self._hosts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._due)

    def put(self, key: Key, due: datetime, host: str) -> None:
        """Say when one is due; ``host`` is its receiver's."""
        self._due[key] = due, host

    def drop(self, key: Key) -> None:
        """Forget one that is over or gone."""
        self._due.pop(key, None)

    def postpone(self, key: Key, until: datetime) -> None:
        """Try one again not before a time, if it still waits."""
        if (entry := self._due.get(key)) is not None:
            self._due[key] = max(entry[0], until), entry[1]

    def take(self, now: datetime) -> list[Key]:
        """Deliveries that may begin now, the longest overdue first."""
        keys: list[Key] = []
        busy = self._hosts.copy()
        for key, (due, host) in sorted(self._due.items(), key=lambda item: item[1][0]):
            if due > now or len(self._active) + len(keys) >= MOST_AT_ONCE:
                break
            if key not in self._active and busy[host] < MOST_TO_ONE_HOST:
                busy[host] += 1
                keys.append(key)
        return keys

    def until_next(self, now: datetime) -> timedelta | None:
        """Return the time until a Delivery not under way is due; zero or less for one that waits for others to end."""
        return min((due - now for key, (due, _) in self._due.items() if key not in self._active), default=None)

    @contextmanager
    def under_way(self, key: Key) -> Iterator[None]:
        """Count one as under way for the length of a ``with`` block."""
        host = self._due[key][1] if key in self._due else ""
        self._active[key] = host
        self._hosts[host] += 1
        try:
            yield
        finally:
            del self._active[key]
            self._hosts[host] -= 1
            if not self._hosts[host]:
                del self._hosts[host]
