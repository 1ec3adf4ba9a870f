"""Keeps the ResourceSlices of this node like its devices. Level-triggered: it compares, whatever it was woken by.

A watch tells of slices that somebody else changed or deleted, as the kubelet does when it starts.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog

from berth_core.kube import errors
from berth_core.kube.cache import Cache
from berth_core.kube.client import Client
from berth_core.kube.reflector import Reflector
from berth_core.kube.types import Kind, Object
from berth_devices import metrics, slices
from berth_devices.discovery.inventory import Device
from berth_devices.resource_api import ResourceApi
from berth_devices.slices import Pool
from berth_devices.stock import Stock

log = structlog.get_logger(__name__)

FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 5.0
EVERYWHERE: Final = ""
"""Namespace of objects that have none, in a cache's keys."""
NODES: Final = Kind("v1", "nodes", namespaced=False)


class Publisher:
    """Writes the ResourceSlices of a node."""

    def __init__(self, client: Client, api: ResourceApi, stock: Stock, node: str) -> None:
        self._client = client
        self._api = api
        self._stock = stock
        self._node = node
        self._written = 0
        self._wake = asyncio.Event()
        self._cache = Cache[Object](lambda obj: obj)
        self._cache.listen(lambda *_: self._wake.set())
        self.current = False
        """Whether the cluster has what this node has, as of the last comparison."""

    def wake(self) -> None:
        """Compare soon."""
        self._wake.set()

    async def run(self) -> None:
        """Compare and write until cancelled."""
        await self._stock.seen.wait()  # before, all devices would pass for unplugged
        kind = await self._kind()
        slices_here = Reflector(self._client, kind, [EVERYWHERE], self._cache, labels=slices.labels(self._node))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(slices_here.run(), name="slices")
            await slices_here.synced()
            self._wake.set()
            await self._compare_on(kind)

    async def _kind(self) -> Kind:
        """Return the kind of slices, as soon as the API server tells its versions."""
        while True:
            try:
                return await self._api.slices()
            except errors.ClusterError as error:
                log.warning("cannot find the API of devices", error=error.message)
                await asyncio.sleep(LONGEST_DELAY * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)

    async def _compare_on(self, kind: Kind) -> None:
        delay = FIRST_DELAY
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                self.current = await self._compare(kind)
            except errors.ClusterError as error:
                self.current = False
                log.warning("cannot write ResourceSlices", error=error.message)
            if self.current:
                delay = FIRST_DELAY
                continue
            # A write is compared once more. The pause grows where somebody else changes the slices each time.
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
            delay = min(2 * delay, LONGEST_DELAY)
            self._wake.set()

    async def _compare(self, kind: Kind) -> bool:
        """Write what differs; return whether nothing did. Raises ClusterError."""
        # A node that was deleted and came back has another uid, and slices of the old one would be collected.
        node = await self._client.get(NODES, None, self._node)
        pool = Pool(self._node, str(node["metadata"]["uid"]), kind.api_version)
        devices = await self._publishable(kind, pool, self._stock.devices)
        current = {one["metadata"]["name"]: one for one in self._cache}
        writes = slices.decide(pool, devices, current.values(), self._written)
        for body in writes.apply:
            self._written = int(body["spec"]["pool"]["generation"])
            with _counted("apply"):
                self._cache.put(await self._client.apply(kind, body))
        for name in writes.delete:
            with _counted("delete"):
                await self._client.delete(kind, None, name)
            self._cache.remove(current[name])
        if writes == slices.Writes():
            return True
        log.info("wrote ResourceSlices", devices=len(devices), generation=self._written)
        return False

    async def _publishable(self, kind: Kind, pool: Pool, devices: Sequence[Device]) -> list[Device]:
        """Return the devices that the cluster can be told of: unplugged ones only where it keeps their taint.

        A cluster without device taints would drop the taint and offer the device.
        """
        absent = [device for device in devices if not device.present]
        if not absent or await self._keeps_taints(kind, pool, absent[0]):
            return list(devices)
        return [device for device in devices if device.present]

    async def _keeps_taints(self, kind: Kind, pool: Pool, absent: Device) -> bool:
        """Whether the API server keeps taints of devices: a dry run shows it, whatever its version and its gates."""
        trial = slices.trial(pool, absent)
        answer = await self._client.request("POST", kind.path(), body=trial, query={"dryRun": "All"})
        return all(slices.has_taints(device) for device in answer["spec"]["devices"])


@contextmanager
def _counted(write: str) -> Iterator[None]:
    try:
        yield
    except errors.ClusterError:
        metrics.SLICE_WRITES.labels(write, "failed").inc()
        raise
    metrics.SLICE_WRITES.labels(write, "done").inc()
