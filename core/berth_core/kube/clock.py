"""The store's time: the API server's, estimated from the ``Date`` of its answers and this machine's monotonic clock.

Each answer bounds the difference of the two clocks; several answers narrow it. The bounds are pure (:class:`Offset`);
:class:`StoreClock` adds the readings. docs/adr/0022-the-stores-time.md says what depends on it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Self

MOST_WIDTH: Final = 2.0
"""Seconds between the bounds up to which the store's time counts as known."""
DRIFT: Final = 0.001
"""Seconds by which two clocks may drift apart in a second: NTP slews each by at most half of that."""
MOST_JUMP: Final = 1.0
"""Seconds by which the wall clock may depart from the steady one; beyond, one of the two was set or stood still."""


@dataclass(frozen=True)
class Offset:
    """Bounds of the seconds by which the store's clock is ahead of the steady one."""

    least: float
    most: float

    @classmethod
    def of(cls, sent: float, date: float, received: float) -> Self:
        """Return the bounds from one answer: ``date`` has whole seconds, read between ``sent`` and ``received``."""
        return cls(date - received, date + 1 - sent)

    @property
    def width(self) -> float:
        """Seconds between the bounds."""
        return self.most - self.least

    def aged(self, seconds: float) -> "Offset":
        """Return the bounds after a time in which the clocks may have drifted."""
        return Offset(self.least - DRIFT * seconds, self.most + DRIFT * seconds)

    def narrowed(self, newer: "Offset") -> "Offset":
        """Return the intersection; where it is empty a clock was set, and the newer bounds count alone."""
        least, most = max(self.least, newer.least), min(self.most, newer.most)
        return Offset(least, most) if least <= most else newer


def steady() -> float:
    """Read the monotonic clock, in seconds; where the system has such a clock, it counts sleep of the machine too."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class StoreClock:
    """A process's knowledge of the store's time. Feed it with every answer (:meth:`saw`)."""

    def __init__(self, steady: Callable[[], float] = steady, wall: Callable[[], float] = time.time) -> None:
        self.steady = steady
        self._wall = wall
        self._offset: Offset | None = None
        self._read = (0.0, 0.0)
        """Both clocks at the latest answer, the steady one first."""
        self._date = ("", 0.0)
        self.was_known = False
        """Whether the time has ever been known."""

    def saw(self, sent: float, date: str | None, received: float) -> None:
        """Take note of an answer: its ``Date`` header (RFC 9110), and the steady clock before and after."""
        seconds = self._seconds(date or "")
        if seconds is None:
            return
        latest, offset = Offset.of(sent, seconds, received), self._current()
        self._offset = latest if offset is None else offset.narrowed(latest)
        self._read = self.steady(), self._wall()
        self.was_known = self.was_known or self.is_known

    @property
    def is_known(self) -> bool:
        """Whether the store's time is known to within 2 s now."""
        offset = self._current()
        return offset is not None and offset.width <= MOST_WIDTH

    def bounds(self) -> tuple[float, float]:
        """Return the earliest and the latest possible time, in seconds since the Epoch; ask :attr:`is_known` before.

        While the time is not known, both are the result of :meth:`now`.
        """
        offset, now = self._current(), self.steady()
        if offset is None or offset.width > MOST_WIDTH:
            return (self.now().timestamp(),) * 2
        return now + offset.least, now + offset.most

    def now(self) -> datetime:
        """Return the store's time: this machine's where it is within the bounds, else the bound next to it."""
        offset, now, wall = self._current(), self.steady(), self._wall()
        seconds = min(max(wall, now + offset.least), now + offset.most) if offset else wall
        return datetime.fromtimestamp(seconds, UTC)

    def _current(self) -> Offset | None:
        """Bounds as of now; None where a clock was set or stood still since the latest answer."""
        if self._offset is None:
            return None
        passed, walked = self.steady() - self._read[0], self._wall() - self._read[1]
        return self._offset.aged(max(passed, 0.0)) if abs(walked - passed) <= MOST_JUMP else None

    def _seconds(self, date: str) -> float | None:
        """Seconds since the Epoch in a header; None for an invalid one. Many answers have the same header."""
        if date != self._date[0]:
            try:
                self._date = date, parsedate_to_datetime(date).timestamp()
            except ValueError:
                return None
        return self._date[1] if date else None
