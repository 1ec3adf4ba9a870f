"""Age of a view, by the answers of its API server. Pure.

An answered probe shows that the API server was in reach when it was asked, so the watch would have told of changes.
The watch is given a second more than the probe. A slow answer makes the view older by just the time it takes: several
probes are under way then, and a lost one costs no more than the time to the next.

After a silence that is not enough: delayed messages may arrive in any order. Then only probes count that were asked a
second after the first answer, so that the watch has had time to catch up.
"""

from typing import Final

WATCH_LAG: Final = 1.0
"""Seconds that an event may come later than the answer to a probe that was asked at the same time."""
SILENCE: Final = 3.0
"""Seconds without any answer after which the watch may have fallen behind."""


class Freshness:
    """Moment up to which the view has missed nothing. Times are in seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._known_at = float("-inf")
        self._heard_at = float("-inf")
        self._counts_from = float("-inf")

    def listed(self, now: float) -> None:
        """Note that everything was listed as of now."""
        self._known_at = self._heard_at = now

    def answered(self, asked_at: float, now: float, *, missing: bool) -> None:
        """Note the answer to a probe; ``missing``: it counted objects that the watch should have shown and did not.

        Missing objects stay missing until everything is listed again, so the view becomes no younger meanwhile.
        """
        if now - self._heard_at > SILENCE:
            self._counts_from = now + WATCH_LAG
        self._heard_at = now
        if not missing and asked_at >= self._counts_from:
            self._known_at = max(self._known_at, asked_at - WATCH_LAG)

    def age(self, now: float) -> float:
        """Seconds for which something may have been missed; infinite before everything was listed."""
        return now - self._known_at
