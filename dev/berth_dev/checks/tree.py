"""A hash of files as they are, by which a run is known."""

import hashlib
import subprocess
from pathlib import Path

from berth_dev.paths import REPOSITORY


def tree(repository: Path = REPOSITORY, *folders: str) -> str:
    """Return 12 hexadecimal digits of the names and contents of files that git has or would take; of all folders."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", *folders]
    names = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout
    digest = hashlib.sha256()
    for name in sorted(filter(None, names.split("\0"))):
        if (path := repository / name).is_file():  # git has one that was removed until that is committed
            digest.update(f"{name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]
