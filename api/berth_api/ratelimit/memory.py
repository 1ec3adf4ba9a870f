"""Counts in the memory of the process.

All windows of a store last equally long, so they end in the order in which they began: ended windows are always at the
front of one ordered dict, and removing them costs nothing per request, however many addresses there are. The stores
of the ``limits`` library look at every key again and again instead (docs/reference/rate-limits.md has the figures).
"""

import math
from typing import Final

from berth_api.ratelimit.allowance import Limit, Reading, untouched

MOST_WINDOWS: Final = 200_000
"""Windows in memory; beyond that the oldest are dropped, so their owners get a new window early."""


class _Window:
    __slots__ = ("ends", "requests", "reset")

    def __init__(self, ends: float, reset: int) -> None:
        self.ends = ends
        self.requests = 0
        self.reset = reset


class MemoryStore:
    """Windows by key. Not thread-safe: one call must end before the next begins.

    ``monotonic`` (seconds) decides when a window ends, so that setting the clock changes nothing; ``now`` (seconds
    since the Epoch) is for the answers to clients.
    """

    def __init__(self, most: int = MOST_WINDOWS) -> None:
        self._windows: dict[str, _Window] = {}
        self._most = most

    def __len__(self) -> int:
        return len(self._windows)

    def take(self, limit: Limit, *, monotonic: float, now: float) -> Reading:
        """Count one request."""
        self._clear(monotonic)
        window = self._windows.get(limit.key)
        if window is None:
            if len(self._windows) >= self._most:
                del self._windows[next(iter(self._windows))]
            window = _Window(monotonic + limit.window, math.ceil(now + limit.window))
            self._windows[limit.key] = window
        window.requests += 1
        return Reading(window.requests, window.reset, window.ends - monotonic)

    def look(self, limit: Limit, *, monotonic: float, now: float) -> Reading:
        """Count nothing."""
        self._clear(monotonic)
        window = self._windows.get(limit.key)
        if window is None:
            return untouched(limit, now)
        return Reading(window.requests, window.reset, window.ends - monotonic)

    def give_back(self, limit: Limit, reset: int) -> None:
        """Take one request back of the window that ends then; nothing where it has ended."""
        window = self._windows.get(limit.key)
        if window is not None and window.reset == reset:
            window.requests = max(window.requests - 1, 0)

    def _clear(self, monotonic: float) -> None:
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if window.ends > monotonic:
                break
            del self._windows[key]
