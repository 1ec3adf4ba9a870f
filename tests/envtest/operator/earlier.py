"""The version before this one: its processes run beside ours, and its leases must outlive the upgrade.

No version is tagged yet; a file names the commit.
"""

import os
import subprocess
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from berth_dev.paths import REPOSITORY

COMMIT = Path(__file__).with_name("earlier-commit")
PARTS = ("core", "operator", "api")


@dataclass(frozen=True)
class Version:
    """Sources of a version, whose processes run with this version's libraries."""

    sources: Path

    @property
    def environment(self) -> dict[str, str]:
        """Makes a Python process import these sources."""
        return {"PYTHONPATH": os.pathsep.join(str(self.sources / part) for part in PARTS)}


NOW = Version(REPOSITORY)


def earlier(folder: Path) -> Version:
    """Unpack the version before this one into a folder."""
    commit = COMMIT.read_text(encoding="utf-8").strip()
    packed = subprocess.run(
        ["git", "archive", commit, *PARTS, "crds"], cwd=REPOSITORY, capture_output=True, check=False
    )
    assert packed.returncode == 0, f"this clone lacks {commit}, so fetch the whole history: {packed.stderr.decode()}"
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return Version(folder)
