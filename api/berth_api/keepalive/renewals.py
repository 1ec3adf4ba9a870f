"""Times of the latest keep-alive renewals of a process. Pure."""

from collections import OrderedDict
from typing import Final

RENEW_EVERY: Final = 5.0
"""Seconds for which a renewal covers further pings."""
MOST_REMEMBERED: Final = 10_000


class Renewals:
    """When this process last renewed each keep-alive. It holds only recent renewals, ``most`` of them at most.

    A forgotten renewal costs one more write.
    """

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._times: OrderedDict[str, float] = OrderedDict()

    def is_recent(self, instance_id: str, monotonic_now: float) -> bool:
        """Whether another renewal can wait."""
        renewed = self._times.get(instance_id)
        return renewed is not None and monotonic_now - renewed < RENEW_EVERY

    def remember(self, instance_id: str, monotonic_now: float) -> None:
        """Note a renewal."""
        self._times[instance_id] = monotonic_now
        self._times.move_to_end(instance_id)
        while len(self._times) > self._most or monotonic_now - next(iter(self._times.values())) >= RENEW_EVERY:
            self._times.popitem(last=False)

    def __len__(self) -> int:
        return len(self._times)
