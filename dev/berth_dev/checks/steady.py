"""Runs every test several times on one tree: ``make test-steady``. It goes on where it was interrupted.

A folder for each tree, ``.berth/steady/<hash of the tree>``, keeps the log of each run. A run that passed is not
repeated; one that failed stops the rest, so that its log is looked at first.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from berth_dev.checks.tree import tree
from berth_dev.errors import ClusterError
from berth_dev.paths import REPOSITORY

COMMAND: Final = ("make", "test")
PASSED: Final = "passed"


def run(times: int, command: tuple[str, ...] = COMMAND, repository: Path = REPOSITORY) -> None:
    """Run the command until it has passed so often. Raises ClusterError at the first run that fails."""
    folder = repository / ".berth" / "steady" / tree(repository)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, times + 1):
        verdict, log = folder / f"{number}.verdict", folder / f"{number}.log"
        if verdict.is_file() and verdict.read_text(encoding="utf-8").startswith(PASSED):
            sys.stdout.write(f"run {number} of {times}: {verdict.read_text(encoding='utf-8')}")
            continue
        began = time.monotonic()
        with log.open("wb") as output:
            status = subprocess.run(command, cwd=repository, stdout=output, stderr=subprocess.STDOUT, check=False)
        took = f"after {time.monotonic() - began:.0f} s"
        if status.returncode:
            raise ClusterError(f"run {number} of {times} failed {took}: read {log}, then try again")
        verdict.write_text(f"{PASSED} {took}\n", encoding="utf-8")
        sys.stdout.write(f"run {number} of {times}: {PASSED} {took}\n")
