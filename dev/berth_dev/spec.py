"""Builds the checker of the lease protocol (spec/) with cargo."""

import re
import shutil

from berth_dev import packages
from berth_dev.commands import run
from berth_dev.paths import REPOSITORY
from berth_dev.progress import step

FOLDER = REPOSITORY / "spec"
CHECKER = FOLDER / "target" / "release" / "berth-spec"
OLDEST = (1, 85)
"""As `rust-version` in spec/Cargo.toml."""


def build() -> None:
    """Build it, where needed with Debian's newer Rust; quick where nothing changed since the last build."""
    if not is_new_enough():
        packages.install_missing(packages.RUST)
    with step("building the checker of the lease protocol"):
        run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=FOLDER, timeout=1200)


def is_new_enough() -> bool:
    """Whether a cargo on PATH can build it."""
    if shutil.which("cargo") is None:
        return False
    shown = run(["cargo", "--version"], check=False).stdout
    found = re.match(r"cargo (\d+)\.(\d+)", shown)
    return found is not None and (int(found[1]), int(found[2])) >= OLDEST
