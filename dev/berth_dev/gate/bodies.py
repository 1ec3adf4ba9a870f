"""Bodies of test functions, now and in the tree that landed last, whose commit `tests/landed` names."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from berth_dev.errors import ClusterError
from berth_dev.gate.outcomes import Failure

LANDED: Final = Path("tests/landed")
_PLAIN: Final = re.compile(r"[A-Za-z_]\w*")


def is_changed(repository: Path, failure: Failure) -> bool:
    """Say whether the function was added or changed since. Marks and moves do not count; an unknown commit does."""
    if not _PLAIN.fullmatch(failure.function):
        return True
    now = set(_bodies((repository / failure.file).read_text(encoding="utf-8"), failure.function))
    return not now or not now <= set(_landed(repository, failure.function))


def changed_files(repository: Path) -> list[str]:
    """Return the files that differ from that commit. Raises ClusterError where git does not know it."""
    command = ["git", "diff", "--name-only", _commit(repository)]
    told = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    if told.returncode:
        raise ClusterError(f"{LANDED} names a commit that is not here, fetch the whole history: {told.stderr.strip()}")
    return told.stdout.splitlines()


def _commit(repository: Path) -> str:
    return (repository / LANDED).read_text(encoding="utf-8").strip()


def _landed(repository: Path, function: str) -> Iterator[str]:
    commit = _commit(repository)
    command = ["git", "grep", "-l", "-w", "-e", f"def {function}", commit, "--", "tests"]
    found = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    for where in found.stdout.splitlines():
        shown = subprocess.run(["git", "show", where], cwd=repository, capture_output=True, text=True, check=True)
        yield from _bodies(shown.stdout, function)


def _bodies(source: str, function: str) -> Iterator[str]:
    """Parameters and body of each function of that name, without marks and places."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function:
            yield "\n".join(map(ast.dump, (node.args, *node.body)))
