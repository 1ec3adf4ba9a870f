"""Files that survive a power cut, whole or as they were."""

from __future__ import annotations

import os


def replace(path: str, content: bytes, mode: int = 0o600) -> None:
    """Put new content in place of a file's. Once this returns it is on the disk. Raises OSError."""
    folder, name = os.path.split(path)
    beside = os.path.join(folder, f".{name}.new")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.fchmod(handle, mode)
        view = memoryview(content)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(beside, path)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read(path: str) -> bytes | None:
    """Return a file's content; None where there is none."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None
