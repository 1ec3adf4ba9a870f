"""Tests of `make test-all` alone: each names a twin that `make test` runs, or the reason why there is none."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from berth_dev.errors import ClusterError
from berth_dev.gate.parts import ALONE_IN_ALL
from berth_dev.paths import REPOSITORY

MOST_WITHOUT: Final = 15


@dataclass(frozen=True)
class Release:
    """A mark `release`: of one test, or of all of a file."""

    file: str
    test: str
    """Empty for all of the file."""
    twin: str | None
    reason: str


def check(repository: Path = REPOSITORY) -> None:
    """Raise ClusterError with every mark whose twin is gone or does not run in `make test` either."""
    if found := complaints(repository):
        raise ClusterError("\n".join(found))


def marks(repository: Path = REPOSITORY) -> list[Release]:
    """Return the marks of all tests."""
    return [mark for file, source in _files(repository).items() for mark in _marks(file, source)]


def files_of_gate(repository: Path = REPOSITORY) -> set[str]:
    """Return the test files of which `make test` runs something."""
    left = {(mark.file, mark.test) for mark in marks(repository)}
    files = _files(repository).items()
    return {file for file, source in files if not _has_gone(file, source, left)}


def _has_gone(file: str, source: str, left: set[tuple[str, str]]) -> bool:
    """Say whether `make test-all` alone runs a file's tests: its mark or its folder says so, or the mark of each."""
    if (file, "") in left or file.startswith(ALONE_IN_ALL):
        return True
    tests = re.findall(r"^(?:async )?def (test_\w+)\(", source, re.MULTILINE)
    return bool(tests) and all((file, test) in left for test in tests)


def complaints(repository: Path) -> list[str]:
    """Return what is wrong, a line each."""
    files, every = _files(repository), marks(repository)
    whole = {mark.file for mark in every if not mark.test}
    single = {f"{mark.file}::{mark.test}" for mark in every if mark.test}
    found = [complaint for mark in every if (complaint := _complaint(mark, files, whole, single))]
    found += [
        f"{file}: only `make test-all` runs it, so it needs `pytestmark` with `release`"
        for file in files
        if file.startswith(ALONE_IN_ALL) and file not in whole
    ]
    without = sum(mark.twin is None for mark in every)
    if without > MOST_WITHOUT:
        found.append(f"{without} tests without a twin, {MOST_WITHOUT} at most")
    return found


def _complaint(mark: Release, files: dict[str, str], whole: set[str], single: set[str]) -> str:
    where = f"{mark.file}{'::' * bool(mark.test)}{mark.test}"
    if mark.twin is None:
        return "" if mark.reason else f"{where}: no twin and no reason"
    file, _, test = mark.twin.partition("::")
    if file not in files or (test and f"def {test}(" not in files[file]):
        return f"{where}: its twin {mark.twin} is not there"
    if file in whole or mark.twin in single:
        return f"{where}: its twin {mark.twin} is not in `make test` either"
    return ""


def _files(repository: Path) -> dict[str, str]:
    """Test files by their path in the repository."""
    paths = sorted((repository / "tests").rglob("test_*.py"))
    return {str(path.relative_to(repository)): path.read_text(encoding="utf-8") for path in paths}


def _marks(file: str, source: str) -> Iterator[Release]:
    for node in ast.parse(source).body if "release(" in source else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                yield from _releases(file, node.name, ast.Expr(decorator))
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            yield from _releases(file, "", node)


def _releases(file: str, test: str, where: ast.AST) -> Iterator[Release]:
    """Marks below a node. Of a `pytest.param` they are of some cases of the test: the others may be its twin."""
    for node in ast.iter_child_nodes(where):
        is_param = isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.param"
        yield from _releases(file, f"{test}[…]" if is_param else test, node)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.release":
            words = {word.arg: ast.literal_eval(word.value) for word in node.keywords}
            yield Release(file, test, words.get("twin"), words.get("reason", ""))
