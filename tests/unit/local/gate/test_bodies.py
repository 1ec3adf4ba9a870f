"""A test counts as changed by its body, not by its marks, its file, or what stands beside it."""

import subprocess
from pathlib import Path

import pytest

from berth_dev.gate import bodies
from berth_dev.gate.outcomes import Failure

FILE = "tests/test_one.py"
BEFORE = '''
import pytest

@pytest.mark.alone
async def test_a(lab: int, one: int = 2) -> None:
    """Promise."""
    assert lab == one

def test_b() -> None:
    assert 1
'''


def git(folder: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.test", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / FILE).write_text(BEFORE)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "landed")
    (tmp_path / "tests/landed").write_text(git(tmp_path, "rev-parse", "HEAD") + "\n")
    return tmp_path


def changed(repository: Path, node: str) -> bool:
    return bodies.is_changed(repository, Failure(node, "line"))


def test_nothing_has_changed_at_first(repository: Path) -> None:
    assert not changed(repository, f"{FILE}::test_a[x-1]")


@pytest.mark.parametrize(
    ("old", "new", "is_changed"),
    [
        ("alone", "nodes", False),
        ("\n@pytest", "\n\n# Why.\n@pytest", False),
        ("assert 1", "assert 2", False),
        ("lab == one", "lab != one", True),
        ("one: int = 2", "one: int = 3", True),
        ("test_a", "test_c", False),
    ],
)
def test_only_the_body_counts(repository: Path, old: str, new: str, is_changed: bool) -> None:
    (repository / FILE).write_text(BEFORE.replace(old, new))
    name = "test_a" if "test_a" in (repository / FILE).read_text() else "test_b"
    assert changed(repository, f"{FILE}::{name}") is is_changed


def test_a_new_test_is_changed(repository: Path) -> None:
    (repository / FILE).write_text(BEFORE + "\ndef test_new() -> None:\n    assert 1\n")
    assert changed(repository, f"{FILE}::test_new")


def test_a_test_that_was_moved_is_not_changed(repository: Path) -> None:
    (repository / "tests/test_two.py").write_text((repository / FILE).read_text())
    assert not changed(repository, "tests/test_two.py::test_a")


def test_without_the_commit_every_test_is_changed(repository: Path) -> None:
    (repository / "tests/landed").write_text("0" * 40 + "\n")
    assert changed(repository, f"{FILE}::test_a")
