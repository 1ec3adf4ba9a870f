"""Files that outlive the process: records of prepared claims, CDI files, remembered devices.

Each is written under another name, flushed to the disk, and renamed, so readers see the old content or the new one.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from berth_core import names
from berth_devices.claims import cdi
from berth_devices.claims.record import ClaimError, Record
from berth_devices.discovery.inventory import Device

CLAIMS: Final = "claims"
DEVICES: Final = "devices.json"
UNFINISHED: Final = ".tmp"
UNREADABLE: Final = (KeyError, TypeError, ValueError)
"""Errors of a file with another content than the driver writes."""


class Disk:
    """The driver's folder (below the kubelet's) and the folder of CDI files. Methods raise OSError."""

    def __init__(self, state: Path, cdi_folder: Path) -> None:
        self._claims = state / CLAIMS
        self._devices = state / DEVICES
        self._cdi = cdi_folder
        for folder in (self._claims, self._cdi):
            folder.mkdir(parents=True, exist_ok=True)
        # A process that was killed in a write leaves an unfinished file.
        for path in (*state.glob(f".*{UNFINISHED}"), *self._claims.glob(f".*{UNFINISHED}")):
            path.unlink(missing_ok=True)
        for path in cdi_folder.glob(f".{names.DEVICE_DRIVER}-*{UNFINISHED}"):
            path.unlink(missing_ok=True)

    def records(self) -> list[Record]:
        """Return the prepared claims.

        Raises:
            ClaimError: the file of one cannot be read, so nobody knows which device it holds.

        """
        return [_record(path) for path in sorted(self._claims.glob("*.json"))]

    def readable(self) -> tuple[list[Record], set[str]]:
        """Return the prepared claims whose files can be read, and a sentence for each other one."""
        records: list[Record] = []
        complaints: set[str] = set()
        for path in sorted(self._claims.glob("*.json")):
            try:
                records.append(_record(path))
            except ClaimError as error:
                complaints.add(str(error))
        return records, complaints

    def record(self, uid: str) -> Record | None:
        """Return a prepared claim, None where it is not. Raises ClaimError where its file cannot be read."""
        path = self._claim(uid)
        return _record(path) if path.exists() else None

    def count(self) -> int:
        """Return the number of prepared claims."""
        return len(list(self._claims.glob("*.json")))

    def keep(self, record: Record) -> None:
        """Write down a prepared claim."""
        _write(self._claim(record.uid), record.as_json())

    def forget(self, uid: str) -> None:
        """Delete a claim's record and its CDI file. Idempotent; the record's content does not matter."""
        (self._cdi / cdi.file_name(uid)).unlink(missing_ok=True)
        self._claim(uid).unlink(missing_ok=True)

    def write_cdi(self, devices: Mapping[str, Device], records: list[Record]) -> None:
        """Bring the CDI files to what the claims and the devices of now say; other drivers' files stay.

        A file of a claim that is not among the records goes: nobody knows which device its containers should have. A
        file that is wrong goes before the right one is written: another device may have the node that it names. A
        record has a device's number before any container gets it.
        """
        specifications = {cdi.file_name(record.uid): cdi.specification(record, devices) for record in records}
        wanted = {name: content for name, content in specifications.items() if content is not None}
        for path in list(self._ours()):
            if path.name in wanted and _read(path) == wanted[path.name]:
                del wanted[path.name]
            else:
                path.unlink(missing_ok=True)
        for record in records:
            if (given := record.given(devices)) != record:
                self.keep(given)
        for name, content in wanted.items():
            _write(self._cdi / name, content)

    def devices(self) -> list[Device]:
        """Return the devices of the last look, as unplugged ones; empty where the file cannot be read."""
        saved = _read(self._devices)
        try:
            return [Device.from_json(one) for one in saved] if isinstance(saved, list) else []
        except UNREADABLE:
            return []

    def remember(self, devices: list[Device]) -> None:
        """Write down the devices of now."""
        _write(self._devices, [device.as_json() for device in devices])

    def _claim(self, uid: str) -> Path:
        if not cdi.FILE.fullmatch(cdi.file_name(uid)):
            raise ClaimError(f"{uid!r} is no uid of a ResourceClaim")
        return self._claims / f"{uid}.json"

    def _ours(self) -> Iterator[Path]:
        return (path for path in self._cdi.iterdir() if cdi.FILE.fullmatch(path.name))


def _record(path: Path) -> Record:
    try:
        return Record.from_json(json.loads(path.read_bytes()))
    except UNREADABLE as error:
        raise ClaimError(
            f"{path} cannot be read, so a device may have a holder that nobody knows: delete the file once no pod"
            f" on this node has the ResourceClaim with uid {path.stem} ({error})"
        ) from error


def _read(path: Path) -> Any:
    """Return the content of a JSON file; None where it is not there, or is no JSON."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _write(path: Path, content: object) -> None:
    unfinished = path.with_name(f".{path.name}{UNFINISHED}")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
