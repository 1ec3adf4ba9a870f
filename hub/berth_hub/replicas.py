"""Replicas of the hub by their Leases: each renews its own, and one that is not renewed is gone."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog

from berth_core import names
from berth_core.kube.cache import Cache
from berth_core.kube.client import Client
from berth_core.kube.errors import AlreadyExistsError, ClusterError, NotFoundError
from berth_core.kube.model import timestamp
from berth_core.kube.reflector import Reflector
from berth_core.kube.types import LEASES, Object

log = structlog.get_logger(__name__)

RENEW: Final = 2.0
GONE: Final = 7.0
"""Seconds without a renewal after which a replica is gone, on this process's own clock."""
COMPONENT: Final = "hub-replica"


class Replicas:
    """Replicas that live, as this one sees them."""

    def __init__(self, client: Client, namespace: str, own: str, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._namespace = namespace
        self._own = own
        self._clock = clock
        self._seen: dict[str, tuple[str, float]] = {}
        self.cache = Cache[Object](lambda obj: obj)
        self.cache.listen(lambda key, _, after: self._heard(key[1], after))

    def reflector(self) -> Reflector[Object]:
        """Return what follows the Leases."""
        labels = {names.COMPONENT_LABEL: COMPONENT}
        return Reflector(self._client, LEASES, (self._namespace,), self.cache, labels=labels)

    def living(self) -> frozenset[str]:
        """Names of the replicas that live."""
        limit = time.monotonic() - GONE
        return frozenset({self._own, *(name for name, (_, at) in self._seen.items() if at >= limit)})

    async def run(self) -> None:
        """Renew the own Lease, until cancelled."""
        while True:
            try:
                await self._renew()
            except ClusterError as error:
                log.warning("Lease not renewed", error=error.message)
            await asyncio.sleep(RENEW)

    async def end(self) -> None:
        """Delete the own Lease, so that the others know at once."""
        try:
            await self._client.delete(LEASES, self._namespace, self._own)
        except ClusterError as error:
            log.warning("Lease not deleted", error=error.message)

    async def _renew(self) -> None:
        name, spec = self._own, {"holderIdentity": self._own, "renewTime": _micro(self._clock())}
        try:
            await self._client.patch(LEASES, self._namespace, name, {"spec": spec})
        except NotFoundError:
            labels = {names.COMPONENT_LABEL: COMPONENT, names.MANAGED_BY_LABEL: names.MANAGED_BY}
            try:
                await self._client.create(
                    LEASES, self._namespace, {"metadata": {"name": name, "labels": labels}, "spec": spec}
                )
            except AlreadyExistsError:
                return

    def _heard(self, name: str, lease: Object | None) -> None:
        if lease is None:
            self._seen.pop(name, None)
            return
        renewal = str((lease.get("spec") or {}).get("renewTime"))
        if self._seen.get(name, ("", 0.0))[0] != renewal:
            self._seen[name] = renewal, time.monotonic()


def _micro(moment: datetime) -> str:
    text = timestamp(moment)
    return text if "." in text else text.replace("Z", ".000000Z")
