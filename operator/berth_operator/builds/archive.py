"""An archive that never holds up the passes: few wait for it at once, and none while it is known to be silent.

Passes share their workers with leases. A pass that is turned away comes back later.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from berth_core.archive.settings import ArchiveSettings
from berth_core.archive.storage import Archive, SilentError
from berth_core.kube.errors import UnavailableError

MOST_REQUESTS: Final = 4
"""Under way at once; the work queue has 32 workers."""
AWAY_SECONDS: Final = 10.0
"""For so long nothing is asked of an archive that did not answer in time."""


class GatedArchive(Archive):
    """An archive whose calls raise UnavailableError at once where they would have to wait."""

    def __init__(self, settings: ArchiveSettings) -> None:
        super().__init__(settings)
        self._under_way = 0
        self._away_until = float("-inf")

    @asynccontextmanager
    async def request(self, size: int = 0) -> AsyncIterator[None]:
        """Let one request through, or raise."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._away_until:
            raise UnavailableError("the archive did not answer a moment ago")
        if self._under_way >= MOST_REQUESTS:
            raise UnavailableError(f"the archive has {self._under_way} requests to answer")
        self._under_way += 1
        try:
            async with super().request(size):
                yield
        except SilentError:
            self._away_until = loop.time() + AWAY_SECONDS
            raise
        finally:
            self._under_way -= 1
