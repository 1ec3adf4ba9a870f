"""CDI specifications of prepared claims (Container Device Interface 0.6.0). Pure.

A claim's file has one CDI device for each device of the claim. A device that is unplugged is left out: a container
that starts then fails with the missing name, and never gets another device that has taken the node's path.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from berth_core import names
from berth_devices.claims.record import Allocated, Record
from berth_devices.discovery.inventory import Device

VERSION: Final = "0.6.0"
KIND: Final = f"{names.DEVICE_DRIVER}/claim"
FOLDER_IN_CONTAINER: Final = "/dev/berth"
PTS_FOLDER: Final = "/dev/pts/"
FILE: Final = re.compile(re.escape(names.DEVICE_DRIVER) + r"-(?P<uid>[0-9A-Za-z-]+)\.json")
"""Names of the files; no other file in the folder is the driver's."""
_OF_LEASE: Final = re.compile(r"[iw]-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-e\d+-(?P<name>.+)")
"""Name of a claim that the operator makes: the device's name in ``spec.machine.devices`` is its end."""


def file_name(uid: str) -> str:
    """Return the name of a claim's file.

    >>> file_name("6f1e")
    'devices.berth.dev-6f1e.json'
    """
    return f"{names.DEVICE_DRIVER}-{uid}.json"


def device_id(record: Record, one: Allocated) -> str:
    """Return the fully qualified name of a CDI device. It stays the same when the device gets another node."""
    return f"{KIND}={record.uid}-{one.device}"


def specification(record: Record, devices: Mapping[str, Device]) -> dict[str, Any] | None:
    """Return the content of a claim's file; None where none of its devices is plugged in."""
    entries = [
        {
            "name": device_id(record, one).partition("=")[2],
            "containerEdits": edits(device, [f"{FOLDER_IN_CONTAINER}/{label}", device.path]),
        }
        for one, label in zip(record.devices, labels(record), strict=True)
        if (device := devices.get(one.device)) is not None and device.present
    ]
    return {"cdiVersion": VERSION, "kind": KIND, "devices": entries} if entries else None


def edits(device: Device, paths: Iterable[str]) -> dict[str, Any]:
    """Return the changes to a container that bring it a device at some paths.

    The slave end of a pseudo terminal works in its own file system only, so it is mounted. Every container may open
    those by default.
    """
    if device.number.is_pty:
        targets = [path for path in paths if path and not path.startswith(PTS_FOLDER)]
        options = ["bind", "rw", "nosuid", "noexec"]
        return {"mounts": [{"hostPath": device.node, "containerPath": path, "options": options} for path in targets]}
    nodes = [{"path": path, "hostPath": device.node, "permissions": "rw"} for path in paths if path]
    return {"deviceNodes": nodes}


def labels(record: Record) -> list[str]:
    """Return the name below /dev/berth for each device of a claim.

    It is the name of the claim, for a claim of a lease the name in ``spec.machine.devices``. Of several devices in
    one claim each has the name of its request below that, and from the second one of a request on a number.
    """
    found = _OF_LEASE.fullmatch(record.name)
    base = found["name"] if found else record.name
    if len(record.devices) == 1:
        return [base]
    counts: dict[str, int] = {}
    result = []
    for one in record.devices:
        request = one.request.partition("/")[0]
        counts[request] = counts.get(request, 0) + 1
        # No name of a request has a dot.
        result.append(f"{base}/{request}" + (f".{counts[request]}" if counts[request] > 1 else ""))
    return result
