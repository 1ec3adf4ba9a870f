"""Facts that the kernel tells of a device, and which devices the allow-list lets in. Pure.

Facts come from sysfs, which has them as soon as the kernel tells of a device. Only links come from udev, a moment
later, so no name and no identity depends on them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

SUBSYSTEMS: Final = ("tty", "video4linux", "hidraw", "gpio", "usb")
"""Subsystems that an allow-list may name."""
PTS_MAJORS: Final = range(136, 144)
"""Major numbers of the slave ends of pseudo terminals (Linux, admin-guide/devices.txt)."""
VIRTUAL: Final = "/devices/virtual/"


@dataclass(frozen=True)
class Number:
    """Major and minor number of a character device."""

    major: int
    minor: int

    @property
    def is_pty(self) -> bool:
        """Whether it is the slave end of a pseudo terminal, which works in its own file system only."""
        return self.major in PTS_MAJORS


@dataclass(frozen=True)
class Facts:
    """One device. Texts are empty where nothing is known."""

    node: str
    """Path of its node on the host, with symbolic links resolved, such as ``/dev/ttyUSB0``."""
    number: Number
    subsystem: str = ""
    vendor: str = ""
    """Of a USB device the idVendor, four hexadecimal digits; of a listed device the list's text."""
    product: str = ""
    serial: str = ""
    port: str = ""
    """Place that it is plugged in at, the same after each plugging: controller and ports; else its parent in sysfs."""
    unit: str = ""
    """Tells apart the nodes of one device: USB interface and index in it."""
    index: str = ""
    """Index among the nodes of one interface, such as a camera's for pictures (0) and for metadata (1)."""
    links: tuple[str, ...] = ()
    """Links to the node that udev made, or the path by which a list names it."""
    devpath: str = ""
    """Path in sysfs without ``/sys``; empty for a listed device."""
    usb: str = ""
    """The same of its USB device; empty where it is on no USB bus."""
    listed: bool = False
    """Whether a list of fixed devices names it."""
    kind: str = ""
    """The list's text for the attribute ``kind``."""


@dataclass(frozen=True)
class Rule:
    """One line of the allow-list: a subsystem, and what else a device must have; an empty text asks for nothing."""

    subsystem: str
    vendor: str = ""
    product: str = ""
    serial: str = ""

    def admits(self, facts: Facts) -> bool:
        """Whether the rule lets a device in."""
        asked = ((self.vendor, facts.vendor), (self.product, facts.product), (self.serial, facts.serial))
        return facts.subsystem == self.subsystem and all(wanted in ("", value) for wanted, value in asked)


def admitted(snapshot: Iterable[Facts], rules: Iterable[Rule]) -> list[Facts]:
    """Return the listed devices of a snapshot and those that a rule admits, each number once.

    Virtual devices are never admitted, and terminals only on USB: consoles and built-in ports belong to the node. A
    USB device is left out where one of its own nodes is lent, since its holder could take that one away.
    """
    rules = tuple(rules)
    every = sorted(snapshot, key=lambda facts: (facts.devpath, facts.links, facts.node))
    listed = {facts.number: facts for facts in reversed(every) if facts.listed}
    open_ones = [facts for facts in every if not facts.listed and _is_lendable(facts) and _is_allowed(facts, rules)]
    lent = {*listed, *(facts.number for facts in open_ones)}
    busy = {facts.usb for facts in every if facts.usb and facts.subsystem != "usb" and facts.number in lent}
    others = {
        facts.number: facts
        for facts in reversed(open_ones)
        if facts.number not in listed and not (facts.subsystem == "usb" and facts.usb in busy)
    }
    return [*listed.values(), *others.values()]


def _is_lendable(facts: Facts) -> bool:
    return not facts.devpath.startswith(VIRTUAL) and (facts.subsystem != "tty" or bool(facts.usb))


def _is_allowed(facts: Facts, rules: Iterable[Rule]) -> bool:
    return any(rule.admits(facts) for rule in rules)
