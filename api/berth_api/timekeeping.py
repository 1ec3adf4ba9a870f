"""Keeps the store's time known: any answer of the API server tells it, and this module asks for one."""

import asyncio
from typing import Final

import structlog

from berth_core.kube.client import Client
from berth_core.kube.errors import ClusterError

log = structlog.get_logger(__name__)

EVERY_SECONDS: Final = 30.0
UNKNOWN_SECONDS: Final = 1.0
"""How often the server is asked while the time is not known."""


async def keep_time(client: Client) -> None:
    """Ask for the store's time again and again, until cancelled."""
    was_known = True
    while True:
        try:
            await client.server_date()
        except ClusterError as error:
            log.warning("cannot ask for the cluster's time", error=error.message)
        if was_known and not client.clock.is_known:
            log.error(
                "the cluster's time is not known, so nothing with an age is made here: check that its API answers"
            )
        was_known = client.clock.is_known
        await asyncio.sleep(EVERY_SECONDS if was_known else UNKNOWN_SECONDS)
