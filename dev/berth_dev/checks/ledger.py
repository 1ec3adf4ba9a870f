"""The ledger of unsteady tests, ``tests/unsteady.toml``: few entries, none for long."""

import subprocess
import tomllib
from pathlib import Path
from typing import Any, Final

from berth_dev.errors import ClusterError
from berth_dev.paths import REPOSITORY

LEDGER: Final = Path("tests/unsteady.toml")
MOST: Final = 10
MOST_DAYS: Final = 14
MOST_TIMES: Final = 2
DAY: Final = 24 * 3600
CAUSES: Final = ("wait", "random", "shared", "clock", "harness")
LEAVE: Final = "mend the test or the product, or leave it to `make test-all` with a twin"


def check(repository: Path = REPOSITORY) -> None:
    """Raise ClusterError with every entry that may not stay."""
    entries = tomllib.loads((repository / LEDGER).read_text(encoding="utf-8")).get("unsteady", [])
    found = [complaint for entry in entries for complaint in _complaints(repository, entry)]
    if len(entries) > MOST:
        found.append(f"{LEDGER} has {len(entries)} entries, {MOST} at most")
    if found:
        raise ClusterError("\n".join(found))


def _complaints(repository: Path, entry: dict[str, Any]) -> list[str]:
    node, commit = str(entry.get("node", "")), str(entry.get("commit", ""))
    file, _, test = node.partition("::")
    path = repository / file
    if not test or not path.is_file() or f"def {test.partition('[')[0]}(" not in path.read_text(encoding="utf-8"):
        return [f"{node or 'an entry without a node'}: there is no such test, remove the entry"]
    found = []
    if entry.get("cause") not in CAUSES:
        found.append(f"{node}: name its cause, one of {', '.join(CAUSES)}")
    if int(entry.get("times", 0)) > MOST_TIMES:
        found.append(f"{node}: unsteady {entry['times']} times, {LEAVE}")
    seen, now = _time(repository, commit), _time(repository, "HEAD")
    if seen is None or now is None:
        found.append(f"{node}: git does not know the commit {commit!r} at which it was seen first")
    elif now - seen > MOST_DAYS * DAY:
        found.append(f"{node}: unsteady for more than {MOST_DAYS} days, {LEAVE}")
    return found


def _time(repository: Path, commit: str) -> int | None:
    """Return when a commit was made, in seconds; None where git does not know it."""
    command = ["git", "show", "-s", "--format=%ct", f"{commit or 'none'}^{{commit}}"]
    shown = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    return int(shown.stdout) if shown.returncode == 0 else None
