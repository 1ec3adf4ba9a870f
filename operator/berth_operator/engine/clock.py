"""The time that the operator acts by, and whether it may.

The time is the store's (:mod:`berth_core.kube.clock`), so writes and sweeps never rest on this machine's clock. A
machine whose clock differs from the API server's still ends nothing by time: one of the two clocks is wrong, and the
operator cannot tell which.
"""

import asyncio
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import structlog

from berth_core.kube.client import Client
from berth_core.kube.clock import StoreClock
from berth_core.kube.errors import ClusterError
from berth_operator.engine import metrics

log = structlog.get_logger(__name__)

MOST_OFFSET: Final = 5.0
EVERY_SECONDS: Final = 60.0
DISTRUSTED_SECONDS: Final = 5.0
"""How often it is compared while it is not trusted."""


class Clock:
    """The store's time, and our clock as far as it is known to be right."""

    def __init__(self, store: StoreClock | None = None) -> None:
        self._store = store or StoreClock()
        self._agreed = False
        self._compared: tuple[datetime, float] | None = None
        """When it was compared last, by the wall clock and by the monotonic one."""

    def now(self) -> datetime:
        """Return the store's time; ours while nothing is known of it."""
        return self._store.now()

    def by_the_store(self, moment: datetime | None) -> datetime | None:
        """Return the store's time at a moment by our clock."""
        return moment + (self.now() - datetime.now(UTC)) if moment is not None else None

    @property
    def trusted(self) -> bool:
        """Whether it was right when it was compared last, and has not been set since (nor has the machine slept).

        Where one of our clocks was set by little, the store's time is not known until its next answer.
        """
        if not self._agreed or self._compared is None or not self._store.is_known:
            return False
        return abs(jump_seconds(self._compared, (datetime.now(UTC), time.monotonic()))) <= MOST_OFFSET

    async def run(self, client: Client) -> None:
        """Compare every minute, oftener while it is not trusted, until cancelled."""
        while True:
            await self.compare(client)
            await asyncio.sleep(EVERY_SECONDS if self.trusted else DISTRUSTED_SECONDS)

    async def compare(self, client: Client) -> None:
        """Compare once. A server that does not answer changes nothing."""
        before = datetime.now(UTC)
        try:
            theirs = parsedate_to_datetime(await client.server_date())
        except ClusterError as error:
            log.warning("cannot compare clocks", error=error.message)
            return
        after = datetime.now(UTC)
        offset = offset_seconds(before, theirs, after)
        metrics.CLOCK_OFFSET.set(offset)
        agreed = abs(offset) <= MOST_OFFSET
        if not agreed:
            log.error(
                "nothing ends by time: set this node's clock, it differs from the API server's",
                offset_seconds=round(offset, 3),
            )
        elif not self._agreed:
            log.info("our clock is right", offset_seconds=round(offset, 3))
        self._agreed, self._compared = agreed, (after, time.monotonic())


def jump_seconds(then: tuple[datetime, float], now: tuple[datetime, float]) -> float:
    """How far the wall clock was set between two readings of it and of the monotonic clock."""
    return (now[0] - then[0]).total_seconds() - (now[1] - then[1])


def offset_seconds(before: datetime, theirs: datetime, after: datetime) -> float:
    """How far our clock is surely ahead of theirs (behind: negative); 0 where it need not be off at all.

    ``theirs`` was said between our ``before`` and ``after``, and in whole seconds: it was less than a second more.
    """
    least, most = (before - theirs).total_seconds() - 1, (after - theirs).total_seconds()
    return least if least > 0 else min(most, 0.0)
