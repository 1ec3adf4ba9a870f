"""Several runs on one tree: a run that passed is not repeated, and a change of the tree begins anew."""

import subprocess
import sys
from pathlib import Path

import pytest

from berth_dev.checks import steady
from berth_dev.errors import ClusterError

COUNTING = "import pathlib; f = pathlib.Path('.berth/count'); f.write_text(f.read_text() + 'x'); print('ran')"
FAILING_ONCE = COUNTING + "; import sys; sys.exit(len(f.read_text()) == 2)"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text(".berth/\n")
    (tmp_path / "code").write_text("1")
    (tmp_path / ".berth").mkdir()
    (tmp_path / ".berth" / "count").write_text("")
    return tmp_path


def count(repository: Path) -> int:
    return len((repository / ".berth" / "count").read_text())


def test_it_goes_on_after_the_runs_that_passed(repository: Path) -> None:
    command = (sys.executable, "-c", FAILING_ONCE)
    with pytest.raises(ClusterError, match="run 2 of 3 failed"):
        steady.run(3, command, repository)
    assert count(repository) == 2
    steady.run(3, command, repository)
    assert count(repository) == 4
    steady.run(3, command, repository)
    assert count(repository) == 4
    (folder,) = (repository / ".berth" / "steady").iterdir()
    assert (folder / "3.log").read_text() == "ran\n"


def test_another_tree_begins_anew(repository: Path) -> None:
    command = (sys.executable, "-c", COUNTING)
    steady.run(2, command, repository)
    (repository / "code").write_text("2")
    steady.run(2, command, repository)
    assert count(repository) == 4
