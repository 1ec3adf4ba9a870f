"""Whether our clock may be acted upon: it is compared with the API server's at the start and every minute."""

import asyncio
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import structlog

from berth_core.client import Client
from berth_core.errors import ClusterError
from berth_operator import metrics

log = structlog.get_logger(__name__)

MOST_OFFSET: Final = 5.0
EVERY_SECONDS: Final = 60.0
DISTRUSTED_SECONDS: Final = 5.0
"""How often it is compared while it is not trusted."""


class Clock:
    """Our clock, as far as it is known to be right."""

    def __init__(self) -> None:
        self._agreed = False
        self._compared: tuple[datetime, float] | None = None
        """When it was compared last, by the wall clock and by the monotonic one."""

    @property
    def trusted(self) -> bool:
        """Whether it was right when it was compared last, and has not been set since (nor has the machine slept)."""
        if not self._agreed or self._compared is None:
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
            log.error("nothing ends by time: our clock differs from the API server's", offset_seconds=round(offset, 3))
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
