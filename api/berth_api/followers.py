"""How many follow logs at the same time: each holds a connection to the cluster, of which the process has few."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Final

from berth_api import metrics
from berth_api.errors import ApiError

MOST_OF_A_USER: Final = 10
MOST: Final = 60
"""In one process; requests have the rest of its connections (``berth_core.client.connecting.CONNECTIONS``)."""
RETRY_SECONDS: Final = 30.0


class TooManyFollowersError(ApiError):
    """429: logs are followed too often at the same time."""

    status: ClassVar[int] = 429


class Followers:
    """Counts those who follow."""

    def __init__(self) -> None:
        self._by_user: Counter[str] = Counter()

    def need_room(self, user: str) -> None:
        """Refuse one more. Raises TooManyFollowersError."""
        if self._by_user[user] >= MOST_OF_A_USER:
            message = f"at most {MOST_OF_A_USER} logs are followed by one user at the same time: end some first"
            raise TooManyFollowersError(message, retry_after=RETRY_SECONDS)
        if self._by_user.total() >= MOST:
            message = "too many logs are followed at the moment: try again later, or read the log without `follow`"
            raise TooManyFollowersError(message, retry_after=RETRY_SECONDS)

    @contextmanager
    def one(self, user: str) -> Iterator[None]:
        """Count one for the length of a ``with`` block."""
        self._by_user[user] += 1
        metrics.FOLLOWERS.set(self._by_user.total())
        try:
            yield
        finally:
            self._by_user[user] -= 1
            if not self._by_user[user]:
                del self._by_user[user]
            metrics.FOLLOWERS.set(self._by_user.total())
