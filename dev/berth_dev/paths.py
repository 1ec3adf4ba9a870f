"""Paths: the repository, the cache of builds, the state of the running cluster."""

import os
import shutil
from pathlib import Path

from berth_dev.errors import ClusterError

# The source tree: an editable install keeps this file there.
REPOSITORY = Path(__file__).resolve().parents[2]
COMPONENTS = REPOSITORY / "dev" / "components"
GIBIBYTE = 1 << 30
VARIABLES = {
    "BERTH_CACHE": "Folder of built programs, base images and wheels, about 3 GB, safe to delete; `berth` in"
    " `$XDG_CACHE_HOME`, else `~/.cache/berth`.",
    "BERTH_STATE": "Folder of the running cluster: logs, data, kubeconfigs; `/var/lib/berth-cluster` by default.",
    "BERTH_SLOT": "Number of the cluster, 0 to 9: a second one has 198.18.SLOT.0/24 and others of its own; give it a"
    " BERTH_STATE of its own. 0 by default.",
    "BERTH_API_NAMES": "Further names and addresses in the API's certificate, with blanks between.",
    "BERTH_API": "URL of the API, for CLUSTER=existing.",
    "BERTH_ENVTEST": "Kubeconfig of an API server that is kept (`make apiserver`), for tests of tests/envtest by name.",
    "CLUSTER": "Kind of cluster: `local` (by default), `existing` or `kind`.",
    "HELM_ARGS": "Further words of `helm`, for CLUSTER=existing.",
    "K8S": "Version of Kubernetes; `1.37.2` by default, `1.34.4` is the oldest.",
    "KUBECONFIG": "Way to the cluster, for CLUSTER=existing.",
    "XDG_CACHE_HOME": "Folder of caches.",
}


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
