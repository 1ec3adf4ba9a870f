"""Runs the gate several times on one tree: ``make test-steady``. It goes on where it was interrupted.

A folder for each tree, ``.berth/steady/<hash of the tree>``, keeps the log of each run. A run that passed is not
repeated; one that failed stops the rest, so that its log is looked at first. Pages of documentation change no outcome,
so the hash leaves them out. Every third run is beside a process that keeps one core busy.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from berth_dev.checks.tree import tree
from berth_dev.errors import ClusterError
from berth_dev.paths import REPOSITORY

COMMAND: Final = ("make", "test")
LEFT_OUT: Final = (":!docs", ":!CHANGELOG.md", ":!tests/landed")
MOST_UNSTEADY: Final = 2
BUSY_EVERY: Final = 3
BUSY: Final = "while True: pass"


def run(times: int, command: tuple[str, ...] = COMMAND, repository: Path = REPOSITORY) -> None:
    """Run the command until it has passed so often.

    Raises ClusterError at the first run that fails, and where too many tests were unsteady over all runs.
    """
    folder = repository / ".berth" / "steady" / tree(repository, *LEFT_OUT)
    folder.mkdir(parents=True, exist_ok=True)
    unsteady = list[str]()
    for number in range(1, times + 1):
        verdict, log = folder / f"{number}.json", folder / f"{number}.log"
        if not verdict.is_file():
            _once(command, repository, verdict, log, is_busy=number % BUSY_EVERY == 0)
        told = json.loads(verdict.read_text(encoding="utf-8"))
        unsteady += told["unsteady"]
        sys.stdout.write(f"run {number} of {times}: passed after {told['took']} s, unsteady: {told['unsteady']}\n")
    if len(unsteady) > MOST_UNSTEADY:
        raise ClusterError(f"{len(unsteady)} tests were unsteady, {MOST_UNSTEADY} at most: {', '.join(unsteady)}")


def _once(command: tuple[str, ...], repository: Path, verdict: Path, log: Path, *, is_busy: bool) -> None:
    gate = repository / ".berth" / "gate.json"
    gate.unlink(missing_ok=True)
    began = time.monotonic()
    with log.open("wb") as output, _busy(is_busy):
        status = subprocess.run(command, cwd=repository, stdout=output, stderr=subprocess.STDOUT, check=False)
    took = round(time.monotonic() - began)
    if status.returncode:
        raise ClusterError(f"the run failed after {took} s: read {log}, then try again")
    told = json.loads(gate.read_text(encoding="utf-8"))
    verdict.write_text(json.dumps({"took": took, "unsteady": told["unsteady"]}) + "\n", encoding="utf-8")


@contextmanager
def _busy(is_busy: bool) -> Iterator[None]:
    """Keep one core busy for the length of the block, where that is asked for."""
    if not is_busy:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", BUSY]) as process:
        try:
            yield
        finally:
            process.kill()
