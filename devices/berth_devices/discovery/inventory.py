"""Devices of the node with their attributes, those among them that are unplugged. Pure."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self

from berth_devices.discovery.facts import Facts, Number
from berth_devices.discovery.naming import kind_of, names

ATTRIBUTES: Final = ("vendor", "product", "serial", "path", "subsystem", "kind")
"""Attributes that every device has, empty where nothing is known: a missing one fails the selectors of all."""
LONGEST_VALUE: Final = 64
"""Bytes of an attribute that Kubernetes allows (resource.k8s.io, DeviceAttribute)."""
DIGEST_DIGITS: Final = 8
MOST_REMEMBERED: Final = 32
"""Unplugged devices that are remembered, besides those of prepared claims."""


@dataclass(frozen=True)
class Device:
    """A device of this node, as its ResourceSlices and its CDI files need it."""

    name: str
    attributes: Mapping[str, str]
    node: str
    """Path of its node on the host; of an unplugged device its last one."""
    path: str
    """Path at which containers get it: the path of the list, else the node's; empty for neither."""
    major: int
    minor: int
    present: bool = True
    """Whether it may be given to a container."""
    withheld: str = ""
    """Name of the device that had its number before, where a running container may still open that number."""

    @property
    def number(self) -> Number:
        """Its number."""
        return Number(self.major, self.minor)

    def as_json(self) -> dict[str, Any]:
        """Return the form in which it is remembered."""
        return {name: value for name, value in asdict(self).items() if name not in ("present", "withheld")}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """Read that form. Raises KeyError, TypeError or ValueError for another one."""
        attributes = {name: str(saved["attributes"].get(name, "")) for name in ATTRIBUTES}
        texts = {name: str(saved[name]) for name in ("name", "node", "path")}
        return cls(attributes=attributes, major=int(saved["major"]), minor=int(saved["minor"]), present=False, **texts)


def present(devices: Iterable[Facts]) -> list[Device]:
    """Return the devices that are plugged in, in the order of their names."""
    named = names(devices)
    return sorted((_device(facts, name) for facts, name in named.items()), key=lambda device: device.name)


def withheld(devices: Iterable[Device], given: Mapping[Number, str]) -> list[Device]:
    """Return the devices, those as not present whose number was given to a claim of another device.

    The claim's containers may open that number until they end, whichever device has it: the kernel gives the numbers
    of unplugged devices away again. ``given`` has names of devices by the numbers that prepared claims got for them.
    """
    return [
        replace(device, present=False, withheld=other)
        if (other := given.get(device.number, device.name)) != device.name
        else device
        for device in devices
    ]


def remembered(before: Iterable[Device], now: Collection[Device], claimed: Collection[str]) -> list[Device]:
    """Return the unplugged devices to remember: those of prepared claims, and the latest of the others.

    ``before`` has all devices of the last look, the ones that were unplugged first in front. ``claimed`` has names.
    """
    plugged = {device.name for device in now}
    gone = [replace(device, present=False, withheld="") for device in before if device.name not in plugged]
    others = [device.name for device in gone if device.name not in claimed]
    forgotten = set(others[: max(0, len(others) - MOST_REMEMBERED)])
    return [device for device in gone if device.name not in forgotten]


def _device(facts: Facts, name: str) -> Device:
    attributes = {
        "vendor": facts.vendor,
        "product": facts.product,
        "serial": facts.serial,
        "path": best_path(facts),
        "subsystem": facts.subsystem,
        "kind": kind_of(facts),
    }
    return Device(
        name=name,
        attributes={key: bounded(value) for key, value in attributes.items()},
        node=facts.node,
        path=facts.links[0] if facts.listed and facts.links else facts.node,
        major=facts.number.major,
        minor=facts.number.minor,
    )


def best_path(facts: Facts) -> str:
    """Return the path that says most of those that fit: a link by id, one by path, any other link, the node."""
    links = sorted(facts.links)
    by_id, by_path = ([link for link in links if part in link] for part in ("/by-id/", "/by-path/"))
    others = links if facts.listed else []
    return next((path for path in (*by_id, *by_path, *others) if len(path.encode()) <= LONGEST_VALUE), facts.node)


def bounded(value: str) -> str:
    """Return a text that fits into an attribute. Of a longer one the beginning stays, and a digest of all.

    >>> bounded("A" * 65)
    'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA~83620394'
    """
    data = value.encode("utf-8", "replace")
    if len(data) <= LONGEST_VALUE:
        return data.decode()
    digest = hashlib.sha256(data).hexdigest()[:DIGEST_DIGITS]
    return f"{data[: LONGEST_VALUE - DIGEST_DIGITS - 1].decode('utf-8', 'ignore')}~{digest}"
