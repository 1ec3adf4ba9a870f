"""Packs what the script left behind, when it has ended, and prints the tarball for the operator to keep.

It runs beside the script and is told to end (SIGTERM) when that has ended, however that ended.
"""

import base64
import hashlib
import io
import json
import os
import signal
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from berth_ci.places import ARTIFACTS, PACKER, SOURCE

LINE: Final = 3072
"""Bytes of the tarball in a line."""
MOST_FILES: Final = 10_000


class TooLargeError(Exception):
    """There is more than is kept."""


class _Limited(io.BytesIO):
    """Takes so many bytes and no more."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > self._most:
            raise TooLargeError
        return super().write(data)


def main() -> int:
    """Wait for the end of the script, then pack and print: a line of JSON, and the tarball in base64."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    PACKER.touch()
    signal.sigwait({signal.SIGTERM})
    patterns = json.loads(ARTIFACTS.read_text(encoding="utf-8"))
    most = int(os.environ["BERTH_ARTIFACTS_MAX_BYTES"])
    try:
        packed = pack(SOURCE, patterns, most)
    except TooLargeError:
        _say({"error": f"the artifacts are larger than {most} bytes (compressed), or more than {MOST_FILES} files"})
        return 0
    if packed is None:
        _say({"error": "nothing is at the paths of `artifacts`"} if patterns else {})
        return 0
    _say({"size": len(packed), "sha256": hashlib.sha256(packed).hexdigest()})
    for start in range(0, len(packed), LINE):
        sys.stdout.write(base64.b64encode(packed[start : start + LINE]).decode("ascii") + "\n")
    sys.stdout.flush()
    return 0


def pack(root: Path, patterns: Iterable[str], most: int) -> bytes | None:
    """Tarball (gzip) of what the patterns match below a folder; None for nothing. Raises TooLargeError.

    Links that lead out of the folder, and what is no file, folder or link, stay out.
    """
    real = root.resolve()
    paths = sorted({path for pattern in patterns for path in _matches(real, pattern)})
    if not paths:
        return None
    if len(paths) > MOST_FILES:
        raise TooLargeError
    target = _Limited(most)
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for path in paths:
            archive.add(path, arcname=str(path.relative_to(real)), recursive=False)
    return target.getvalue()


def _matches(root: Path, pattern: str) -> Iterator[Path]:
    for path in root.glob(pattern.rstrip("/") or "*"):
        if _stays(root, path):
            yield path
        if path.is_dir() and not path.is_symlink():
            yield from (below for below in path.rglob("*") if _stays(root, below))


def _stays(root: Path, path: Path) -> bool:
    """Whether it and what it leads to are below the folder, without a link on the way."""
    if path == root or not path.parent.resolve() == path.parent or not path.resolve().is_relative_to(root):
        return False
    return path.is_symlink() or path.is_file() or path.is_dir()


def _say(header: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(header) + "\n")
    sys.stdout.flush()
