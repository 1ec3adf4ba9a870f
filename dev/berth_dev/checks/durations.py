"""Seconds of the test files of `make test`, ``tests/durations.json``: each part of the gate has a budget.

`make durations` writes those of the last `make test`, `make test-changed` those of its own run. Lint never measures.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from berth_dev.checks import twins
from berth_dev.errors import ClusterError
from berth_dev.gate import outcomes
from berth_dev.gate.parts import GATE, Part
from berth_dev.paths import REPOSITORY

RECORD: Final = Path("tests/durations.json")
MOST_SECONDS: Final = 45.0
"""A file may take this beside others, some 20 alone. A file of the two-node cluster has the budget of its part."""
NEW: Final = "--new"
LEAVE: Final = "part it, make it quicker, or leave some of it to `make test-all` with a twin"


def check(repository: Path = REPOSITORY) -> None:
    """Raise ClusterError with every file without a figure, every file that takes too long, and parts over budget."""
    if found := complaints(_recorded(repository), twins.files_of_gate(repository)):
        raise ClusterError("\n".join(found))


def complaints(recorded: dict[str, float], files: set[str]) -> list[str]:
    """Return what is wrong with the figures of some test files, a line each."""
    found = [
        f"{file}: no seconds in {RECORD}, `make test-changed` writes them" for file in sorted(files - set(recorded))
    ]
    found += [
        f"{file}: seconds in {RECORD}, and it is no file of `make test`" for file in sorted(set(recorded) - files)
    ]
    sums = defaultdict[Part, float](float)
    for file, seconds in recorded.items():
        part = next((part for stage in GATE for part in stage if file.startswith(part.folders)), None)
        if part is not None:
            sums[part] += seconds
            if part.at_once > 1 and seconds > MOST_SECONDS:
                found.append(f"{file}: {seconds:.0f} s in `make test`, {MOST_SECONDS:.0f} at most: {LEAVE}")
    for part, seconds in sums.items():
        if seconds > part.at_once * part.aim_seconds:
            budget = part.at_once * part.aim_seconds
            found.append(f"part {part.name} of `make test` takes {seconds:.0f} s, and has {budget:.0f}: move something")
    return found


def write(reports: Iterable[Path], repository: Path = REPOSITORY, *, is_new_only: bool = False) -> None:
    """Take the seconds of JUnit files, all or those of files that have none. Files that are gone lose theirs."""
    known, files = _recorded(repository), twins.files_of_gate(repository)
    for report in reports:
        told = outcomes.seconds(report)
        known = told | known if is_new_only else known | told
    kept = {file: round(known[file], 1) for file in sorted(files & set(known))}
    (repository / RECORD).write_text(json.dumps(kept, indent=0) + "\n", encoding="utf-8")


def _recorded(repository: Path) -> dict[str, float]:
    path = repository / RECORD
    recorded: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return recorded


def main() -> None:
    """Write the figures of the last `make test`, or with ``--new`` those of JUnit files for files that have none."""
    if sys.argv[1:2] == [NEW]:
        write(map(Path, sys.argv[2:]), is_new_only=True)
    else:
        # The reports of a second run and of what a change triggered have some tests of a file only.
        write(REPOSITORY / ".berth" / "gate" / part.name / "junit.xml" for stage in GATE for part in stage)


if __name__ == "__main__":
    main()
