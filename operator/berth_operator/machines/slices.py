"""Watches what drivers offer of the devices that deployments name, for as long as this process leads.

Concurrency model: a deployment's pass says which devices its machine has (:meth:`Slices.look`). Of ResourceSlices only
those of drivers that some deployment names are read, and DeviceClasses; without such deployments nothing is. A change
is judged for all who name the driver, some at a time. A pass is asked for where the verdict becomes another one.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from berth_core.kube.cache import Cache
from berth_core.kube.client import Client
from berth_core.kube.conditions import find
from berth_core.kube.reflector import Reflector
from berth_core.kube.types import Object
from berth_core.machines.devices import (
    AMBIGUOUS,
    AWAITED,
    FOUND,
    MISSING,
    NOT_PROVEN,
    Offer,
    Sight,
    described,
    joined,
    offer,
    selection_of,
    sight,
)
from berth_core.machines.placement import Fault
from berth_core.reading import at
from berth_core.resources import WorkspaceDeployment
from berth_core.resources.machines.devices import MachineDevice
from berth_operator.engine.world import TermState, World
from berth_operator.kinds import DEPLOYMENT, DEVICE_CLASSES, SLICES

CLASSES: Final = ""
"""Name of the feed of DeviceClasses, beside those of drivers."""
TOGETHER_SECONDS: Final = 0.2
"""Changes that come within this time are judged once."""
JUDGED_AT_ONCE: Final = 50
"""Deployments that are judged before other tasks run on the event loop."""

_Place = tuple[str, str]


@dataclass(eq=False)
class _Feed:
    """ResourceSlices of one driver, or all DeviceClasses."""

    reflector: Reflector[Object]
    offered: Offer | None = None
    """Of a driver, as of the last change; None where it has to be put together again."""

    @property
    def current(self) -> Offer:
        """Devices of the driver."""
        if self.offered is None:
            self.offered = offer(self.reflector.cache)
        return self.offered


@dataclass
class _User:
    """A deployment that names devices."""

    devices: tuple[MachineDevice, ...]
    told: Sight | None = None
    """Verdict that its last pass was given."""


@dataclass
class Slices(TermState):
    """Devices that drivers offer, as far as deployments name them."""

    _feeds: dict[str, _Feed] = field(default_factory=dict)
    _users: dict[_Place, _User] = field(default_factory=dict)
    _started: asyncio.Event = field(default_factory=asyncio.Event)
    """There are feeds to start or to stop."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def drivers(self) -> set[str]:
        """Drivers whose ResourceSlices are read."""
        return self._feeds.keys() - {CLASSES}

    def look(self, client: Client, wd: WorkspaceDeployment) -> Sight | None:
        """Return what is known of a deployment's devices; None where it has none.

        While that is not known, what the status says of this generation holds.
        """
        place = wd.metadata.namespace, wd.metadata.name
        if not wd.devices or wd.spec.dissolved is not None:
            self.forget(*place)
            return None
        if (user := self._users.get(place)) is None or user.devices != wd.devices:
            user = self._users[place] = _User(wd.devices)
            self._follow(client, {CLASSES, *self._drivers(user)})
        user.told = self._judge(user.devices)
        return user.told or _former(wd)

    def forget(self, namespace: str, name: str) -> None:
        """Stop to look after a deployment's devices."""
        if self._users.pop((namespace, name), None) is not None:
            self._changed.set()

    def ambiguity(self, devices: Sequence[MachineDevice]) -> Fault | None:
        """Return that more than one device fits a device of a machine; None where that is not known."""
        seen = self._judge(devices) if devices else None
        return seen.fault if seen is not None and seen.reason == AMBIGUOUS else None

    def clear(self) -> None:
        """Drop everything: another process leads."""
        self._feeds.clear()
        self._users.clear()
        self._started, self._changed = asyncio.Event(), asyncio.Event()

    async def feed(self) -> None:
        """Run the feeds that are wanted, until cancelled."""
        running: dict[_Feed, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                wanted = set(self._feeds.values())
                for gone in running.keys() - wanted:
                    running.pop(gone).cancel()
                for new in wanted - running.keys():
                    running[new] = tasks.create_task(new.reflector.run())
                await self._started.wait()
                self._started.clear()

    async def judge(self, world: World) -> None:
        """Ask for passes over deployments whose devices came or went, until cancelled."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(TOGETHER_SECONDS)
            self._changed.clear()
            wanted = {driver for user in self._users.values() for driver in self._drivers(user)}
            self._follow(world.client, {CLASSES, *wanted} if self._users else set(), alone=True)
            for number, (place, user) in enumerate(list(self._users.items()), start=1):
                if (seen := self._judge(user.devices)) is not None and seen != user.told:
                    world.add(DEPLOYMENT, *place)
                if number % JUDGED_AT_ONCE == 0:
                    await asyncio.sleep(0)

    def _judge(self, devices: Sequence[MachineDevice]) -> Sight | None:
        """Return the verdict on some devices; None while what it takes was not read yet, or is being rewritten."""
        sights = [self._sight(device) for device in devices]
        known = [one for one in sights if one is not None]
        return joined(known) if len(known) == len(sights) else None

    def _sight(self, device: MachineDevice) -> Sight | None:
        classes = self._feeds.get(CLASSES)
        if classes is None or not classes.reflector.is_synced:
            return None
        device_class = classes.reflector.cache.get("", device.device_class_name)
        if device_class is None:
            message = (
                f"there is no DeviceClass {device.device_class_name}, which {described(device)} names: install its"
                " driver, or correct spec.machine.devices"
            )
            return Sight(MISSING, message)
        selection = selection_of(device, device_class)
        if selection.driver is None:
            message = (
                f"no part that Berth reads of the selectors of {described(device)} says which driver it has: whether it"
                " is there, and there once, shows when a lease starts"
            )
            return Sight(NOT_PROVEN, message)
        feed = self._feeds.get(selection.driver)
        if feed is None or not feed.reflector.is_synced or not feed.current.complete:
            return None
        return sight(device, selection, feed.current)

    def _follow(self, client: Client, wanted: set[str], *, alone: bool = False) -> None:
        """Have feeds of some names; with ``alone`` no others."""
        for name in self._feeds.keys() - wanted if alone else ():
            del self._feeds[name]
        for name in wanted - self._feeds.keys():
            self._feeds[name] = self._made(client, name)
        self._started.set()

    def _drivers(self, user: _User) -> Iterator[str]:
        """Yield the drivers that a deployment's devices have, as far as their classes are known."""
        if (classes := self._feeds.get(CLASSES)) is None:
            return
        for device in user.devices:
            device_class = classes.reflector.cache.get("", device.device_class_name)
            if device_class is not None and (driver := selection_of(device, device_class).driver):
                yield driver

    def _made(self, client: Client, name: str) -> _Feed:
        cache: Cache[Object] = Cache(_slim)
        kind, fields = (SLICES, {"spec.driver": name}) if name != CLASSES else (DEVICE_CLASSES, None)
        feed = _Feed(Reflector(client, kind, [""], cache, fields=fields, changed=lambda: self._news(feed)))
        return feed

    def _news(self, feed: _Feed) -> None:
        feed.offered = None
        self._changed.set()


async def run(world: World) -> None:
    """Watch while this process leads."""
    slices = world.state(Slices)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(slices.feed())
        tasks.create_task(slices.judge(world))


def _former(wd: WorkspaceDeployment) -> Sight:
    known = find(wd.status.conditions, FOUND)
    if known is not None and known.observed_generation == wd.metadata.generation:
        return Sight(known.reason, known.message)
    return Sight(
        AWAITED, "the ResourceSlices of its driver were not read yet: where that stays, see the operator's log"
    )


def _slim(obj: Object) -> Object:
    """Keep what is compared."""
    metadata, spec = obj["metadata"], obj["spec"]
    kept = {key: spec[key] for key in ("driver", "pool", "selectors") if key in spec}
    entries = [
        {key: entry[key] for key in ("name", "attributes", "taints") if key in entry}
        for entry in at(spec, "devices") or ()
    ]
    return {
        "metadata": {key: metadata[key] for key in ("name", "resourceVersion")},
        "spec": kept | {"devices": entries},
    }
