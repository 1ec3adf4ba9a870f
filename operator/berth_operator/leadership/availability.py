"""Since when the cluster's API has answered this process without a break.

Silence counts only while the API answers: a keep-alive ping is missed only in a time in which the cluster could have
told of it. The leader's renewals, every few seconds, show whether the API answers.
"""

from datetime import datetime, timedelta
from typing import Final

LONGEST_GAP: Final = timedelta(seconds=5)
"""Answers further apart than this have a break between them: a machine that slept, a clock that was set."""


class Steadiness:
    """The length of the present unbroken run of answers. Times are by our wall clock."""

    def __init__(self) -> None:
        self.since: datetime | None = None
        """Beginning of the run; None while there is none."""
        self._last: datetime | None = None

    def answered(self, now: datetime) -> None:
        """Take note of an answer."""
        last, self._last = self._last, now
        if self.since is None or last is None or not timedelta(0) <= now - last <= LONGEST_GAP:
            self.since = now

    def broke(self) -> None:
        """Take note that no answer came: the next one begins a new run."""
        self.since = None
