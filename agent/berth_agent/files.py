"""Files that others read while they are written, and files that others may have put there.

The VPN can write the folder that it shares: a file there may be a link, a pipe or a device.
"""

import errno
import os
import stat
from contextlib import suppress
from typing import Final

_NO_FILE: Final = frozenset({errno.ENOENT, errno.ELOOP, errno.ENXIO})
"""Nothing there, a link, a socket."""


def replace(path: str, content: bytes, mode: int) -> None:
    """Replace a file in one step, so that a reader sees the text before or the text after. No link is followed."""
    draft = f"{path}.new"
    with suppress(FileNotFoundError):
        os.unlink(draft)
    handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, mode)
        file.write(content)
    os.replace(draft, path)


def beginning(path: str, most: int) -> bytes:
    """Read up to ``most`` bytes of a file, without waiting; nothing where there is none, or something else."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        if exc.errno in _NO_FILE:
            return b""
        raise
    try:
        return os.read(handle, most) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
    finally:
        os.close(handle)
