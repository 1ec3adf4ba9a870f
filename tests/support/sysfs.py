"""A played /sys with USB devices, and the netlink messages by which udev would tell of them.

Layout and messages are constructed after those of Linux 6.1 and systemd 252 (udev's ``monitor_netlink_header``, the
kernel's ``/sys/devices``), since no USB hardware is there. They are for a process in namespaces of its own only.
"""

import shutil
import socket
import struct
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CONTROLLER = "/devices/pci0000:00/0000:00:14.0"
HUB = f"{CONTROLLER}/usb1"
NETLINK_KOBJECT_UEVENT = 15
UDEV_GROUP = 2
MAGIC = 0xFEEDCAFE
HEADER = 40
SYSFS = Path("/sys")


@dataclass(frozen=True)
class Stick:
    """A USB device with one interface and one node."""

    port: int
    vendor: str
    product: str
    serial: str
    subsystem: str
    node: str
    number: tuple[int, int]
    index: str = ""

    @property
    def usb(self) -> str:
        return f"{HUB}/1-{self.port}"

    @property
    def interface(self) -> str:
        return f"{self.usb}/1-{self.port}:1.0"

    @property
    def devpath(self) -> str:
        parent = f"{self.interface}/{self.node}" if self.subsystem == "tty" else self.interface
        return f"{parent}/{self.subsystem}/{self.node}"


def begin() -> None:
    """Cover /sys and /run with empty folders in this mount namespace, and make a controller with its root hub."""
    for folder in ("/sys", "/run"):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    for subsystem in ("tty", "video4linux", "hidraw"):
        (SYSFS / "class" / subsystem).mkdir(parents=True)
    for bus in ("usb", "pci", "usb-serial", "gpio"):
        (SYSFS / "bus" / bus / "devices").mkdir(parents=True)
    _make(CONTROLLER, "pci", [])
    hub = ["MAJOR=189", "MINOR=0", "DEVNAME=bus/usb/001/001", "DEVTYPE=usb_device"]
    _make(HUB, "usb", hub, idVendor="1d6b", idProduct="0002", version=" 2.00", bDeviceClass="09")


def plug(stick: Stick) -> None:
    """Make the folders that the kernel makes for a device."""
    number = [f"MAJOR=189\nMINOR={stick.port}", f"DEVNAME=bus/usb/001/{stick.port + 1:03}", "DEVTYPE=usb_device"]
    about = {"idVendor": stick.vendor, "idProduct": stick.product, "bDeviceClass": "00"}
    _make(stick.usb, "usb", number, **about, **({"serial": stick.serial} if stick.serial else {}))
    _make(stick.interface, "usb", ["DEVTYPE=usb_interface"], bInterfaceNumber="00")
    if stick.subsystem == "tty":
        _make(f"{stick.interface}/{stick.node}", "usb-serial", [], port_number="0")
    major, minor = stick.number
    about = {"index": stick.index} if stick.index else {}
    _make(stick.devpath, stick.subsystem, [f"MAJOR={major}", f"MINOR={minor}", f"DEVNAME={stick.node}"], **about)


def unplug(stick: Stick) -> None:
    """Remove them."""
    for path in (stick.devpath, f"{stick.interface}/{stick.node}", stick.interface, stick.usb):
        for listed in SYSFS.glob(f"*/*/{'devices/' if 'class' not in path else ''}{Path(path).name}"):
            listed.unlink()
        for listed in SYSFS.glob(f"class/*/{Path(path).name}"):
            listed.unlink()
    shutil.rmtree(SYSFS / stick.usb.lstrip("/"))


def _make(path: str, subsystem: str, uevent: Iterable[str], **attributes: str) -> None:
    folder = SYSFS / path.lstrip("/")
    folder.mkdir(parents=True)
    (folder / "uevent").write_text("".join(f"{line}\n" for line in uevent))
    for name, value in attributes.items():
        (folder / name).write_text(f"{value}\n")
    bus = SYSFS / "bus" / subsystem
    home = bus if bus.exists() else SYSFS / "class" / subsystem
    (folder / "subsystem").symlink_to(home)
    (home / "devices" / folder.name if bus.exists() else home / folder.name).symlink_to(folder)


class Udev:
    """Sends messages to the group of udev's listeners in this network namespace."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_KOBJECT_UEVENT)
        self._socket.bind((0, 0))
        self._number = 0

    def tell(self, action: str, stick: Stick) -> None:
        """Tell of a device: ``add``, ``remove`` or ``change``."""
        self._number += 1
        major, minor = stick.number
        properties = {
            "ACTION": action,
            "DEVPATH": stick.devpath,
            "SUBSYSTEM": stick.subsystem,
            "DEVNAME": f"/dev/{stick.node}",
            "MAJOR": str(major),
            "MINOR": str(minor),
            "SEQNUM": str(self._number),
        }
        self.send(stick.subsystem, "".join(f"{name}={value}\0" for name, value in properties.items()).encode())

    def send(self, subsystem: str, properties: bytes) -> None:
        """Send one message with udev's header; its numbers are big-endian where filters read them."""
        header = b"libudev\0" + struct.pack("!I", MAGIC) + struct.pack("=III", HEADER, HEADER, len(properties))
        header += struct.pack("!IIII", murmur(subsystem.encode()), 0, 0, 0)
        self._socket.sendto(header + properties, (0, UDEV_GROUP))


def murmur(data: bytes) -> int:
    """MurmurHash2 with seed 0, by which filters find a subsystem."""
    factor, mask = 0x5BD1E995, 0xFFFFFFFF
    value = len(data)
    whole = len(data) // 4 * 4
    for (word,) in struct.iter_unpack("<I", data[:whole]):
        word = word * factor & mask
        word = (word ^ word >> 24) * factor & mask
        value = value * factor & mask ^ word
    if rest := data[whole:]:
        value = (value ^ int.from_bytes(rest, "little")) * factor & mask
    value = (value ^ value >> 13) * factor & mask
    return value ^ value >> 15
