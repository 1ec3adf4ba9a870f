"""Several runs on one tree: a run that passed is not repeated, and a change of the tree begins anew."""

import subprocess
import sys
from pathlib import Path

import pytest

from berth_dev.checks import steady
from berth_dev.errors import ClusterError

COUNTING = """
import json, pathlib
count = pathlib.Path('.berth/count')
count.write_text(count.read_text() + 'x')
runs = len(count.read_text())
pathlib.Path('.berth/gate.json').write_text(json.dumps({'unsteady': []}))
print('ran')
"""
FAILING_ONCE = COUNTING + "raise SystemExit(runs == 2)"
UNSTEADY = COUNTING + "pathlib.Path('.berth/gate.json').write_text(json.dumps({'unsteady': [f'test_{runs}']}))"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text(".berth/\n")
    (tmp_path / "code").write_text("1")
    (tmp_path / "CHANGELOG.md").write_text("1")
    (tmp_path / ".berth").mkdir()
    (tmp_path / ".berth" / "count").write_text("")
    return tmp_path


def count(repository: Path) -> int:
    return len((repository / ".berth" / "count").read_text())


def test_it_goes_on_after_the_runs_that_passed(repository: Path) -> None:
    command = (sys.executable, "-c", FAILING_ONCE)
    with pytest.raises(ClusterError, match="the run failed"):
        steady.run(3, command, repository)
    assert count(repository) == 2
    steady.run(3, command, repository)
    assert count(repository) == 4
    steady.run(3, command, repository)
    assert count(repository) == 4
    (folder,) = (repository / ".berth" / "steady").iterdir()
    assert (folder / "3.log").read_text() == "ran\n"


def test_another_tree_begins_anew_but_not_for_its_documentation(repository: Path) -> None:
    command = (sys.executable, "-c", COUNTING)
    steady.run(2, command, repository)
    (repository / "CHANGELOG.md").write_text("2")
    steady.run(2, command, repository)
    assert count(repository) == 2
    (repository / "code").write_text("2")
    steady.run(2, command, repository)
    assert count(repository) == 4


def test_two_unsteady_tests_over_all_runs_are_let_through_and_three_are_not(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (sys.executable, "-c", UNSTEADY)
    steady.run(2, command, repository)
    assert "unsteady: ['test_1']" in capsys.readouterr().out
    with pytest.raises(ClusterError, match="3 tests were unsteady"):
        steady.run(3, command, repository)


LOOKING = f"""
from contextlib import suppress
def words(path):
    with suppress(OSError):
        return path.read_text().split(chr(0))
    return []
busy = [path for path in pathlib.Path('/proc').glob('[0-9]*/cmdline') if {steady.BUSY!r} in words(path)]
print(len(busy))
"""


def test_every_third_run_is_beside_a_busy_core(repository: Path) -> None:
    steady.run(3, (sys.executable, "-c", COUNTING + LOOKING), repository)
    (folder,) = (repository / ".berth" / "steady").iterdir()
    found = [int((folder / f"{number}.log").read_text().split()[-1]) for number in (1, 2, 3)]
    assert found[2] > max(found[:2])
