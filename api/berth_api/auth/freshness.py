"""How old a view may be, by what its API server answered. Pure.

A probe that is answered says that the API server was in reach since it was asked, and so would have told of changes
by the watch. The watch is given a second more than the probe. How long answers take makes the view older by just
that: several probes are under way where it is long, and one that is lost costs no more than the time to the next.

After a silence that is not enough: what was held up may arrive in any order. Then only probes count that were asked
a second after the first answer, which time the watch has had to catch up.
"""

from typing import Final

WATCH_LAG: Final = 1.0
"""Seconds that an event may come later than the answer to a probe that was asked at the same time."""
SILENCE: Final = 3.0
"""Seconds without any answer after which the watch may have fallen behind."""


class Freshness:
    """Up to when nothing was missed. Times are in seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._known_at = float("-inf")
        self._heard_at = float("-inf")
        self._counts_from = float("-inf")

    def listed(self, now: float) -> None:
        """Note that all is known as of now."""
        self._known_at = self._heard_at = now

    def answered(self, asked_at: float, now: float, *, missing: bool) -> None:
        """Note the answer to a probe; ``missing``: it told of something that the watch should have shown and did not.

        What is missing is so until everything was listed again, so the view becomes no younger meanwhile.
        """
        if now - self._heard_at > SILENCE:
            self._counts_from = now + WATCH_LAG
        self._heard_at = now
        if not missing and asked_at >= self._counts_from:
            self._known_at = max(self._known_at, asked_at - WATCH_LAG)

    def age(self, now: float) -> float:
        """Seconds for which something may have been missed; infinite before everything was listed."""
        return now - self._known_at
