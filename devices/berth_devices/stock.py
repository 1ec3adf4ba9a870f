"""The devices of now in memory, and the claims on them on disk: one place that both are changed in, one at a time.

One lock orders looks, so that an older one never comes after a newer one. The other one holds while devices and files
are changed.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog

from berth_devices import metrics
from berth_devices.claims.disk import Disk
from berth_devices.claims.record import ClaimError, Record, given_numbers, refuse_shared
from berth_devices.discovery import inventory
from berth_devices.discovery.facts import Facts, Rule, admitted
from berth_devices.discovery.inventory import Device

log = structlog.get_logger(__name__)

Look = Callable[[], list[Facts]]
"""Reads the devices of the node; it blocks, so it runs in a thread."""


class Stock:
    """Devices and prepared claims of this node. Methods raise OSError where the disk cannot be written."""

    def __init__(self, look: Look, rules: Iterable[Rule], disk: Disk) -> None:
        self._look = look
        self._rules = tuple(rules)
        self._disk = disk
        self._looking = asyncio.Lock()
        self._alone = asyncio.Lock()
        self._complaints: set[str] = set()
        self._devices = self._on_disk = disk.devices()
        self.changed = asyncio.Event()
        """Set when devices are others than at the last look."""
        self.seen = asyncio.Event()
        """Set once there was a look."""
        self.looked_at: float | None = None
        """Time of the event loop at which the last look ended."""

    @property
    def devices(self) -> list[Device]:
        """All devices of the last look, in the order of their names; unplugged ones are not ``present``."""
        return sorted(self._devices, key=lambda device: device.name)

    async def look(self) -> None:
        """Look at the node, and bring the CDI files of prepared claims to where their devices are now.

        Claims can be unprepared meanwhile: a read of a broken device may take for ever.
        """
        async with self._looking:
            facts = await asyncio.to_thread(self._look)
            async with self._alone:
                self._take_in(facts)

    async def prepared(self, uid: str) -> Record | None:
        """Return a prepared claim, None where it is not. Raises ClaimError where its record cannot be read."""
        async with self._alone:
            return self._disk.record(uid)

    async def prepare(self, record: Record) -> None:
        """Write down a claim and its CDI file. Idempotent.

        Raises:
            ClaimError: a device of the claim is unplugged, or prepared for another claim.

        """
        await self.look()
        async with self._alone:
            refuse_shared(record, self._disk.records())
            known = self._by_name()
            for one in record.devices:
                _refuse_absent(one.device, known.get(one.device))
            self._disk.keep(record.given(known))
            self._disk.write_cdi(known, self._disk.records())
            self._measure()

    async def unprepare(self, uid: str) -> None:
        """Delete what :meth:`prepare` has written. Idempotent; it needs neither the devices nor the cluster."""
        async with self._alone:
            self._disk.forget(uid)
            self._measure()

    def _take_in(self, facts: list[Facts]) -> None:
        records = self._readable()
        now = inventory.withheld(inventory.present(admitted(facts, self._rules)), given_numbers(records))
        claimed = {one.device for record in records for one in record.devices}
        # The unplugged ones stand first, in the order in which they went.
        devices = [*inventory.remembered(self._devices, now, claimed), *now]
        if devices != self._devices:
            self._tell(devices)
            self._devices = devices
            self.changed.set()
        self.looked_at = asyncio.get_running_loop().time()
        self.seen.set()
        self._measure()
        self._disk.write_cdi(self._by_name(), records)
        if devices != self._on_disk:
            self._disk.remember(devices)
            self._on_disk = devices

    def _readable(self) -> list[Record]:
        """Return the records that can be read; an error is told of once."""
        records, complaints = self._disk.readable()
        for complaint in complaints - self._complaints:
            log.error("a claim's record cannot be read", error=complaint)
        self._complaints = complaints
        return records

    def _by_name(self) -> dict[str, Device]:
        return {device.name: device for device in self._devices}

    def _tell(self, devices: list[Device]) -> None:
        before = self._by_name()
        for device in devices:
            old = before.get(device.name)
            if device.present and (old is None or not old.present or old.node != device.node):
                log.info("plugged in", device=device.name, node=device.node, **_shown(device.attributes))
            elif device.withheld:
                log.warning("withheld", device=device.name, node=device.node, number_of=device.withheld)
            elif not device.present and old is not None and old.present:
                log.info("unplugged", device=device.name, node=device.node)

    def _measure(self) -> None:
        metrics.PRESENT.set(sum(device.present for device in self._devices))
        metrics.UNPLUGGED.set(sum(not device.present for device in self._devices))
        metrics.PREPARED.set(self._disk.count())


def _refuse_absent(name: str, device: Device | None) -> None:
    """Raise ClaimError where a device cannot be given to a container."""
    if device is not None and device.withheld:
        raise ClaimError(
            f"device {name} has number {device.major}:{device.minor}, which a container with {device.withheld} may"
            " open: plug it in again while the other is plugged in, or end that pod"
        )
    if device is None or not device.present:
        raise ClaimError(f"device {name} is not plugged in at this node: plug it in, and the pod starts")


def _shown(attributes: Mapping[str, str]) -> dict[str, Any]:
    return {name: attributes[name] for name in ("vendor", "product", "serial", "path")}
