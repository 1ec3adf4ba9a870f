"""Limits on concurrent readers and followers of logs: each may hold a connection to the cluster for long."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import Gauge

from berth_api.http.errors import ApiError

MOST_OF_A_USER: Final = 10
MOST: Final = 60
"""Readers in one process, and as many followers."""
CONNECTIONS: Final = 2 * MOST + 20
"""Connections to the cluster for logs and artifacts alone, so that nothing else waits for slow readers. Kept parts
need some."""
RETRY_SECONDS: Final = 30.0


class TooManyFollowersError(ApiError):
    """429: too many logs are read at the same time."""

    status = 429


class Followers:
    """Counts followers, or readers; ``gauge`` shows their number."""

    def __init__(self, gauge: Gauge) -> None:
        self._by_user: Counter[str] = Counter()
        self._gauge = gauge

    def _need_room(self, user: str) -> None:
        if self._by_user[user] >= MOST_OF_A_USER:
            message = f"at most {MOST_OF_A_USER} logs at the same time by one user: end some first"
            raise TooManyFollowersError(message, retry_after=RETRY_SECONDS)
        if self._by_user.total() >= MOST:
            message = "too many logs are read at the moment: try again later"
            raise TooManyFollowersError(message, retry_after=RETRY_SECONDS)

    @contextmanager
    def one(self, user: str) -> Iterator[None]:
        """Count one for the length of a ``with`` block. Raises TooManyFollowersError beyond the limit."""
        self._need_room(user)
        self._by_user[user] += 1
        self._gauge.set(self._by_user.total())
        try:
            yield
        finally:
            self._by_user[user] -= 1
            if not self._by_user[user]:
                del self._by_user[user]
            self._gauge.set(self._by_user.total())


class Readers(Followers):
    """Counts readers of artifacts, and of logs that they do not follow."""
