"""Reads the devices of the node from sysfs by libudev, and fixed devices from a list. Blocks for some milliseconds."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyudev

from berth_devices.discovery.facts import SUBSYSTEMS, Facts, Number

DEV: Final = "/dev/"
MOST_LINKS: Final = 8
"""Symbolic links in a row that are followed."""
HUB_CLASS: Final = "09"
"""bDeviceClass of USB hubs."""


@dataclass(frozen=True)
class Fixed:
    """A device that a list names by its path: a character device, or a symbolic link to one."""

    path: str
    vendor: str = ""
    product: str = ""
    serial: str = ""
    kind: str = ""
    node: str = ""
    """The Kubernetes node that has it; empty for all that have the path."""


class Kernel:
    """The kernel's devices in the subsystems that an allow-list may name, and the fixed ones of this node.

    ``dev`` is the folder in which this process finds the host's ``/dev``.
    """

    def __init__(self, fixed: Iterable[Fixed], dev: Path) -> None:
        self._fixed = tuple(fixed)
        self._dev = dev

    def snapshot(self) -> list[Facts]:
        """Return the devices of now."""
        context = pyudev.Context()
        found = [facts for name in SUBSYSTEMS for device in _devices(context, name) for facts in _read(device)]
        return [*found, *(facts for one in self._fixed for facts in self._read_fixed(one))]

    def _read_fixed(self, one: Fixed) -> Iterator[Facts]:
        for node, number in resolved(one.path, self._dev):
            yield Facts(
                node=node,
                number=number,
                vendor=one.vendor,
                product=one.product,
                serial=one.serial,
                port=one.path,
                links=(one.path,),
                listed=True,
                kind=one.kind,
            )


def resolved(path: str, dev: Path) -> Iterator[tuple[str, Number]]:
    """Yield the host's path and the number of the character device that a path below /dev leads to, if there is one."""
    for _ in range(MOST_LINKS):
        if not path.startswith(DEV):
            return
        here = dev / path.removeprefix(DEV)
        try:
            mode = here.lstat()
            target = os.readlink(here) if stat.S_ISLNK(mode.st_mode) else None
        except OSError:  # it is not there, or went just now
            return
        if target is None:
            if stat.S_ISCHR(mode.st_mode):
                yield path, Number(os.major(mode.st_rdev), os.minor(mode.st_rdev))
            return
        path = os.path.normpath(os.path.join(os.path.dirname(path), target))


def _devices(context: pyudev.Context, subsystem: str) -> Any:
    devices: Any = context.list_devices(subsystem=subsystem)
    return devices.match_property("DEVTYPE", "usb_device") if subsystem == "usb" else devices


def _read(device: Any) -> Iterator[Facts]:
    """Yield the facts of a device with a node; nothing for a hub, and for one that goes meanwhile."""
    try:
        node, number = device.device_node, device.device_number
        if node is None or not number:
            return
        usb = device.find_parent("usb", "usb_device") if device.subsystem != "usb" else device
        if usb is not None and device.subsystem == "usb" and _text(usb, "bDeviceClass") == HUB_CLASS:
            return
        interface = device.find_parent("usb", "usb_interface")
        parent = device.parent
        yield Facts(
            node=node,
            number=Number(os.major(number), os.minor(number)),
            subsystem=device.subsystem,
            vendor=_text(usb, "idVendor"),
            product=_text(usb, "idProduct"),
            serial=_text(usb, "serial"),
            port=_port(usb) if usb is not None else (parent.device_path if parent is not None else ""),
            unit=_text(interface, "bInterfaceNumber"),
            index=_text(device, "index") or _text(parent, "port_number"),
            links=tuple(sorted(device.device_links)),
            devpath=device.device_path,
            usb=usb.device_path if usb is not None else "",
        )
    except (pyudev.DeviceNotFoundError, OSError):
        return  # the kernel tells of it, and the next look has what is there then


def _port(usb: Any) -> str:
    """Return the controller, the speed's bus and the chain of ports; never the number of the bus, which changes.

    Such as ``0000:00:14.0-usb2-1.3``.
    """
    chain = usb.sys_name.partition("-")[2]
    hub = usb
    while hub is not None and not hub.sys_name.startswith("usb"):
        hub = hub.parent
    if hub is None or hub.parent is None:
        return str(usb.device_path)
    return f"{hub.parent.sys_name}-usb{_text(hub, 'version').partition('.')[0]}-{chain}"


def _text(device: Any, attribute: str) -> str:
    """Return an attribute of sysfs; empty where there is none."""
    if device is None:
        return ""
    try:
        value = device.attributes.get(attribute)
    except OSError:
        return ""
    return value.decode("utf-8", "replace").strip("\0 \t\n") if value else ""
