"""The folder of built images, which all source trees on a machine share."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

KEPT: Final = 3
"""Newest archives of an image, which stay in any case."""
KEPT_SECONDS: Final = 3600
"""Time in which an archive in use stays: this source tree or another may be about to load it."""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Block builds of other source trees: all give their images the same names, in one store."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def prune(image: str, *, keep: Path, now: float) -> None:
    """Remove archives of an image, but for ``keep``, the newest, and those asked for lately (by their mtime)."""
    ages = {path: path.stat().st_mtime for path in keep.parent.glob(f"{image}-????????????????.tar") if path != keep}
    for path in sorted(ages, key=ages.__getitem__, reverse=True)[KEPT - 1 :]:
        if now - ages[path] > KEPT_SECONDS:
            path.unlink()
