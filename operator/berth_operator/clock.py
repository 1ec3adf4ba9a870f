"""Whether our clock may be acted upon: it is compared with the API server's at the start and every minute."""

import asyncio
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


class Clock:
    """Our clock, as far as it is known to be right."""

    def __init__(self) -> None:
        self.trusted = False

    async def run(self, client: Client) -> None:
        """Compare every minute, until cancelled."""
        while True:
            await self.compare(client)
            await asyncio.sleep(EVERY_SECONDS)

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
        trusted = abs(offset) <= MOST_OFFSET
        if trusted != self.trusted:
            log.log(20 if trusted else 40, "clock compared", offset_seconds=round(offset, 3), trusted=trusted)
        self.trusted = trusted


def offset_seconds(before: datetime, theirs: datetime, after: datetime) -> float:
    """How far our clock is surely ahead of theirs (behind: negative); 0 where it need not be off at all.

    ``theirs`` was said between our ``before`` and ``after``, and in whole seconds: it was less than a second more.
    """
    least, most = (before - theirs).total_seconds() - 1, (after - theirs).total_seconds()
    return least if least > 0 else min(most, 0.0)
