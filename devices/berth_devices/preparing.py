"""Prepares claims: reads a ResourceClaim live, and writes down what it was given."""

from berth_core.kube import errors
from berth_core.kube.client import Client
from berth_devices.claims.record import ClaimError, Record, allocated
from berth_devices.resource_api import ResourceApi
from berth_devices.stock import Stock


class Preparer:
    """Prepares and unprepares the claims of a node. ``pool`` is the pool's name, the node's."""

    def __init__(self, client: Client, api: ResourceApi, stock: Stock, pool: str) -> None:
        self._client = client
        self._api = api
        self._stock = stock
        self._pool = pool

    async def prepare(self, namespace: str, name: str, uid: str) -> Record:
        """Prepare a claim. Idempotent: a prepared one is not read again, so it needs no cluster.

        Raises:
            ClaimError: it cannot be prepared, or not yet.
            berth_core.kube.errors.ClusterError: the API server cannot be reached, or refuses.
            OSError: the disk cannot be written.

        """
        record = await self._stock.prepared(uid)
        if record is None:
            try:
                claim = await self._client.get(await self._api.claims(), namespace, name)
            except errors.NotFoundError as error:
                raise ClaimError(f"ResourceClaim {namespace}/{name} is gone: delete the pod") from error
            record = allocated(claim, uid=uid, pool=self._pool)
        await self._stock.prepare(record)
        return record

    async def unprepare(self, uid: str) -> None:
        """Undo it. Idempotent; it needs neither the claim nor the cluster. Raises OSError."""
        await self._stock.unprepare(uid)
