"""Paths: the repository, the cache of builds, the state of the running cluster."""

import os
import shutil
from pathlib import Path

from berth_dev.errors import ClusterError

# The source tree: an editable install keeps this file there.
REPOSITORY = Path(__file__).resolve().parents[2]
COMPONENTS = REPOSITORY / "dev" / "components"
GIBIBYTE = 1 << 30


def cache_dir() -> Path:
    """Folder of built programs, base images and wheels: `$BERTH_CACHE`, else `$XDG_CACHE_HOME/berth`."""
    if chosen := os.environ.get("BERTH_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "berth"


def state_dir() -> Path:
    """Folder of the running two-node cluster: `$BERTH_STATE`, else `/var/lib/berth-cluster`."""
    return Path(os.environ.get("BERTH_STATE") or "/var/lib/berth-cluster")


def require_space(folder: Path, gibibytes: float, purpose: str) -> None:
    """Raise ClusterError unless `folder`'s file system has `gibibytes` GiB free."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free / GIBIBYTE
    if free < gibibytes:
        raise ClusterError(
            f"{existing} has {free:.1f} GiB free and {purpose} needs {gibibytes:g} GiB: "
            "free some space, or point BERTH_CACHE and BERTH_STATE to another disk"
        )
