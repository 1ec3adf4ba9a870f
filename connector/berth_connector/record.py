"""Keeps the fence's marks on the disk, so that neither a crash nor a power cut takes one back."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from typing import Final

from berth_connector import files
from berth_connector.fence import Mark

MOST_DEPLOYMENTS: Final = 1024
_NAME: Final = "marks.json"


class RecordError(Exception):
    """The marks cannot be read or kept; the message says what to do."""


class Record:
    """The marks of all deployments that this connector has met. One process at a time has them."""

    def __init__(self, folder: str) -> None:
        """Lock and read. Raises RecordError where that cannot be: nothing is admitted then."""
        self._path = os.path.join(folder, _NAME)
        try:
            self._lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RecordError(
                f"another connector runs with {folder}: stop it, or give this one a folder of its own"
            ) from error
        except OSError as error:
            raise RecordError(f"{folder} cannot be used: {error}") from error
        self._marks = load(folder)
        self._clean = True

    def get(self, deployment: str) -> Mark | None:
        """Mark of a deployment (uid), or None."""
        return self._marks.get(deployment)

    def all(self) -> Mapping[str, Mark]:
        """Marks by the deployments' uids."""
        return dict(self._marks)

    def note(self, deployment: str, mark: Mark) -> None:
        """Count a mark from now on; it is on the disk only after :meth:`save`."""
        if self._marks.get(deployment) == mark:
            return
        if deployment not in self._marks and len(self._marks) >= MOST_DEPLOYMENTS:
            raise RecordError(
                f"this connector has met {MOST_DEPLOYMENTS} deployments: enrol the host with a new folder"
            )
        self._marks[deployment] = mark
        self._clean = False

    def save(self) -> None:
        """Put what was noted on the disk. Raises OSError; it counts all the same while this process lives."""
        if self._clean:
            return
        content = {uid: vars(mark) for uid, mark in sorted(self._marks.items())}
        files.replace(self._path, json.dumps({"version": 1, "marks": content}).encode())
        self._clean = True

    def close(self) -> None:
        """Let another process have the marks."""
        os.close(self._lock)


def load(folder: str) -> dict[str, Mark]:
    """Read the marks without the lock. Raises RecordError where the file is damaged: an empty fence would go back."""
    path = os.path.join(folder, _NAME)
    try:
        content = files.read(path)
        if content is None:
            return {}
        document = json.loads(content)
        if document["version"] != 1:
            raise RecordError(f"{path} is of a newer connector: install that version again")
        return {str(uid): _mark(fields) for uid, fields in document["marks"].items()}
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(
            f"{path} is damaged. It keeps users of ended leases away from the machine. Make sure that nobody has a"
            " lease of it, delete the file, and start the connector again"
        ) from error


def _mark(fields: Mapping[str, object]) -> Mark:
    epoch, over, moved, owed = (fields[name] for name in ("epoch", "over", "moved", "owed"))
    if type(epoch) is not int or not all(isinstance(one, bool) for one in (over, moved, owed)):
        raise ValueError("not a mark")
    return Mark(epoch, bool(over), bool(moved), bool(owed))
