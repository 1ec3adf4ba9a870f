"""Names of devices. A device has the same name after it was plugged in again. Pure."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from berth_devices.discovery.facts import Facts

LONGEST_LABEL: Final = 63
HASH_DIGITS: Final = 8
KINDS: Final = {"tty": "serial", "hidraw": "hid", "gpio": "gpio", "usb": "usb"}
_OTHER: Final = re.compile(r"[^a-z0-9]+")

Key = tuple[str, ...]


def kind_of(facts: Facts) -> str:
    """Return the attribute ``kind``: serial, camera, video, hid, gpio, usb, character, or what the list says.

    A camera has more nodes than the one with its pictures; the others are ``video``.
    """
    if facts.listed:
        return facts.kind or "character"
    if facts.subsystem == "video4linux":
        return "camera" if facts.index in ("", "0") else "video"
    return KINDS.get(facts.subsystem, "character")


def names(devices: Iterable[Facts]) -> dict[Facts, str]:
    """Return a name for each device: a DNS label (RFC 1123), made from its serial number, else from its port.

    Devices that share a serial number get their names from their ports too, so none takes the place of another.
    """
    given = sorted(set(devices), key=lambda facts: (facts.devpath, facts.node))
    keys = _distinct(given, (_identity, _identity_and_port, _identity_and_node))
    return {facts: _label(facts, keys[facts]) for facts in given}


def _distinct(given: list[Facts], makers: tuple[Callable[[Facts], Key], ...]) -> dict[Facts, Key]:
    """Return keys by the first maker, and by the next one for devices that would share a key."""
    maker, *others = makers
    keys = {facts: maker(facts) for facts in given}
    counts = Counter(keys.values())
    shared = [facts for facts in given if counts[keys[facts]] > 1]
    return keys | _distinct(shared, tuple(others)) if shared and others else keys


def _identity(facts: Facts) -> Key:
    place = ("serial", facts.serial) if facts.serial else ("port", facts.port or facts.node)
    return (facts.subsystem, facts.vendor, facts.product, *place, facts.unit, facts.index)


def _identity_and_port(facts: Facts) -> Key:
    return (*_identity(facts), "port", facts.port or facts.node)


def _identity_and_node(facts: Facts) -> Key:
    return (*_identity_and_port(facts), "node", facts.node, facts.devpath)


def _label(facts: Facts, key: Key) -> str:
    digest = hashlib.sha256("\0".join(key).encode("utf-8", "surrogateescape")).hexdigest()[:HASH_DIGITS]
    words = [slug(kind_of(facts)), slug(facts.serial or facts.port or facts.node)]
    readable = "-".join(word for word in words if word)
    return f"{readable[: LONGEST_LABEL - HASH_DIGITS - 1].rstrip('-')}-{digest}".lstrip("-")


def slug(text: str) -> str:
    """Return a text in the letters of a DNS label; empty where none is left.

    >>> slug("FT232R_USB UART#A10K")
    'ft232r-usb-uart-a10k'
    """
    return _OTHER.sub("-", text.lower()).strip("-")
