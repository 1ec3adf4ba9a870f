"""Wheels for the images berth and berth-devices, fetched out here, where the machine's proxy and CAs work."""

import hashlib
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement

from berth_dev.commands import run
from berth_dev.errors import ClusterError
from berth_dev.paths import REPOSITORY, cache_dir
from berth_dev.progress import step

GLIBC = 36
PYTHON = "3.11"
"""Debian bookworm's Python. Its patch release can change while the Containerfile stays the same."""
PATCHES = range(40)
RECIPES = tuple(f"images/{name}requirements.txt" for name in ("berth/", "berth/build-", "devices/"))


def folder() -> Path:
    """The cache's folder with the wheels of the images' requirements, fetched where it does not have them.

    Raises ClusterError where pip cannot fetch them.
    """
    needed = [wanted((REPOSITORY / name).read_text(encoding="utf-8"), platform.machine()) for name in RECIPES]
    key = hashlib.sha256("\n".join(needed).encode()).hexdigest()[:16]
    cache = cache_dir() / "wheels" / key
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        with step("fetching wheels"), tempfile.TemporaryDirectory(prefix=".wheels-", dir=cache.parent) as scratch:
            for number, lines in enumerate(needed):
                recipe = Path(scratch) / f"{number}.txt"
                recipe.write_text(lines, encoding="utf-8")
                _fetch(recipe, Path(scratch) / "wheels")
            (Path(scratch) / "wheels").rename(cache)
    return cache


def wanted(requirements: str, machine: str) -> str:
    """The requirements that a Linux with any patch release of the images' Python may ask for, a line each, unmarked.

    pip judges environment markers by the Python that it runs in, whatever `--python-version` says, so it gets none.
    A surplus wheel does no harm: in the image pip judges the markers again. Raises ClusterError for a line that is
    no requirement.
    """
    return "".join(
        f"{requirement} {hashes}\n"
        for requirement, marker, hashes in _parsed(requirements)
        if marker is None or _may_hold(marker, machine)
    )


def _parsed(text: str) -> Iterator[tuple[str, Marker | None, str]]:
    """Each requirement without its marker, the marker, and its `--hash` options."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        words, _, hashes = line.partition(" --hash")
        if not words.strip() or words.lstrip().startswith("#"):
            continue
        try:
            requirement = Requirement(words)
        except InvalidRequirement as error:
            raise ClusterError(f"not a requirement: {words.strip()!r}; run `make generate`") from error
        marker, requirement.marker = requirement.marker, None
        yield str(requirement), marker, f"--hash{' '.join(hashes.split())}" if hashes else ""


def _may_hold(marker: Marker, machine: str) -> bool:
    """Whether a marker holds for some patch release."""
    here = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_version": PYTHON,
        "sys_platform": "linux",
    }
    versions = [f"{PYTHON}.{patch}" for patch in PATCHES]
    return any(marker.evaluate({**here, "python_full_version": v, "implementation_version": v}) for v in versions)


def _fetch(recipe: Path, target: Path) -> None:
    machine = platform.machine()
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in range(GLIBC, 16, -1)]
    platforms += [f"--platform=manylinux2014_{machine}"]
    abis = ["--implementation=cp", f"--python-version={PYTHON}", "--abi=cp311", "--abi=abi3", "--abi=none"]
    command = [_python_with_pip(), "-m", "pip", "download", "-q", "--no-deps", "--require-hashes"]
    process = run([*command, "--only-binary=:all:", *abis, *platforms, "-r", recipe, "-d", target], check=False)
    if process.returncode != 0:
        words = " / ".join(process.stderr.strip().splitlines()[-2:])
        raise ClusterError(f"cannot fetch Python packages: check the network or pip's index ({words})")


def _python_with_pip() -> str:
    tools = REPOSITORY / ".berth-tools" / "bin" / "python"
    own = [str(tools)] if tools.exists() else []
    for python in (*own, sys.executable, str(Path(sys.base_prefix) / "bin" / "python3")):
        if run([python, "-m", "pip", "--version"], check=False).returncode == 0:
            return python
    raise ClusterError("no Python here has pip: install python3-pip")
