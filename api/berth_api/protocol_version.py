"""Keeps this process from serving beside a newer version's leader, which may rely on features unknown to this one."""

import asyncio
from typing import Final

import structlog

from berth_core.kube.client import Client
from berth_core.kube.errors import ClusterError, NotFoundError
from berth_core.kube.types import LEASES
from berth_core.leases import protocol

log = structlog.get_logger(__name__)

EVERY_SECONDS: Final = 30.0
UNKNOWN_SECONDS: Final = 0.5
"""Seconds between reads of the Lease before the first answer."""


class ProtocolVersion:
    """The protocol that the leader speaks, as far as this process knows it."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self.is_known = False
        """Whether the leader's Lease was read once, or does not exist."""

    async def run(self) -> None:
        """Read the leader's Lease again and again, until cancelled.

        Raises:
            NewerProtocolError: a newer version has led here.

        """
        while True:
            try:
                protocol.need_known(await self._client.get(LEASES, self._namespace, protocol.LEADER))
                self.is_known = True
            except NotFoundError:
                self.is_known = True  # there has been no leader yet
            except ClusterError as error:
                log.warning("cannot read the leader's Lease", error=error.message)
            await asyncio.sleep(EVERY_SECONDS if self.is_known else UNKNOWN_SECONDS)
