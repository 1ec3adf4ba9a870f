"""Where things are in a build's pods. The operator's manifests say the same (docs/explanation/architecture.md)."""

from pathlib import Path
from typing import Final

WORK: Final = Path("/work")
SOURCE: Final = WORK / "src"
"""The work folder of the script: the repository."""
HOME: Final = WORK / "home"
RUN: Final = Path("/run/berth")
"""Written by the step before the script, read by the script."""
SCRIPT: Final = RUN / "script"
ARTIFACTS: Final = RUN / "artifacts"
PACKER: Final = RUN / "packer"
"""There when the end of the script will be noticed."""
KEY: Final = RUN / "key"
KNOWN_HOSTS: Final = RUN / "known_hosts"
SSH_CONFIG: Final = RUN / "ssh_config"
CREDENTIALS: Final = Path("/etc/berth/credentials")
"""The Secret that opens the repository; only where git runs."""
MACHINE_KEY: Final = Path("/etc/berth/machine/key")
CLONE: Final = Path("/repo")
"""In a workspace's pod: the clone, which the workspace has where its holder wants it."""
SCRATCH: Final = Path("/tmp")  # noqa: S108 (an emptyDir of the container's own)
TERMINATION: Final = Path("/dev/termination-log")
