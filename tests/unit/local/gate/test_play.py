"""The gate plays real runs of pytest: parts, a second run, and the verdict that it leaves."""

import json
import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from berth_dev.errors import ClusterError
from berth_dev.gate.everything import everything
from berth_dev.gate.parts import Part
from berth_dev.gate.play import gate

ONCE = """
import pathlib
def test_once():
    mark = pathlib.Path('.berth/mark')
    was_there = mark.exists()
    mark.write_text('')
    assert was_there, 'the first time'
"""
MARKED = ONCE.replace("def", "import pytest\n@pytest.mark.invariant\ndef")


def git(folder: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.test", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


pytestmark = pytest.mark.thorough


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they take seconds to import
    for name in ("SEED", "RELEASE", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "tests").mkdir()
    (tmp_path / ".berth").mkdir()
    (tmp_path / ".gitignore").write_text(".berth/\n__pycache__/\ntests/landed\n")
    (tmp_path / "pyproject.toml").write_text("[tool.pytest]\nmarkers = ['invariant']\n")
    (tmp_path / "tests/test_good.py").write_text("def test_good():\n    pass\n")
    git(tmp_path, "init", "-q")
    return tmp_path


def landed(repository: Path, **files: str) -> None:
    """Write test files, and let all of them have landed."""
    for name, source in files.items():
        (repository / "tests" / f"test_{name}.py").write_text(source)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "landed")
    (repository / "tests/landed").write_text(git(repository, "rev-parse", "HEAD"))


def play(repository: Path, *parts: Part, seconds: float = 60) -> dict[str, Any]:
    """Play; what is recorded, whether or not the change is refused."""
    with suppress(ClusterError):
        gate(repository, [(part,) for part in parts or (Part("one", ("tests",), 60),)], seconds)
    told: dict[str, Any] = json.loads((repository / ".berth/gate.json").read_text())
    return told


def test_a_clean_tree_that_passes_is_recorded_by_its_hash(repository: Path) -> None:
    landed(repository)
    told = play(repository)
    assert told["tree"] == git(repository, "rev-parse", "HEAD^{tree}")
    assert (told["result"], told["unsteady"]) == ("passed", [])
    assert set(told["seconds"]) == {"one"}
    (repository / "tests/test_good.py").write_text("def test_good():\n    assert 1\n")
    assert play(repository)["tree"] is None


def test_a_test_that_fails_once_passes_and_is_told(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    landed(repository, once=ONCE)
    told = play(repository)
    assert (told["result"], told["unsteady"]) == ("passed", ["tests/test_once.py::test_once"])
    assert "the first time" in (repository / ".berth/gate/one/log").read_text()
    shown = capsys.readouterr().out
    assert "UNSTEADY tests/test_once.py::test_once, AssertionError: the first time" in shown
    assert '[[unsteady]]\n  node = "tests/test_once.py::test_once"' in shown
    assert shown.endswith("2 passed, 0 failed, 0 skipped\n")


def test_workers_tell_the_same(repository: Path) -> None:
    landed(repository, once=ONCE)
    assert play(repository, Part("one", ("-p", "xdist", "-n", "2", "tests"), 60))["unsteady"] == [
        "tests/test_once.py::test_once"
    ]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def test_a():\n    assert False", "failed twice"),
        (MARKED, "holds an invariant"),
        ("import nothing_of_that_name\ndef test_a(): pass", "pytest ended with 2"),
        (
            "import pytest\nclass IllegalCommitError(AssertionError): pass\n@pytest.fixture\ndef judge():\n    yield\n"
            "    raise IllegalCommitError('epoch 2')\ndef test_a(judge): pass",
            "the lease protocol does not allow",
        ),
        ("import os\ndef test_a(): os._exit(1)", "pytest ended with 1"),
    ],
    ids=["twice", "invariant", "collection", "oracle", "crash"],
)
def test_what_no_second_run_helps_is_refused(
    repository: Path, capsys: pytest.CaptureFixture[str], source: str, reason: str
) -> None:
    landed(repository, bad=source)
    told = play(repository)
    assert (told["result"], told["unsteady"]) == ("failed", [])
    assert reason in " ".join(told["refusals"])
    assert f"REFUSED {told['refusals'][0]}" in capsys.readouterr().out


def test_a_worker_that_crashes_is_refused(repository: Path) -> None:
    landed(repository, bad="import os\ndef test_a(): os._exit(1)")
    told = play(repository, Part("one", ("-p", "xdist", "-n", "2", "tests"), 60))
    assert told["result"] == "failed"
    assert not told["unsteady"]


def test_a_test_that_the_change_wrote_has_no_second_run(repository: Path) -> None:
    landed(repository)
    (repository / "tests/test_once.py").write_text(ONCE)
    assert "the change wrote this test" in play(repository)["refusals"][0]


def test_every_part_runs_and_all_failures_are_told(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    landed(repository, a="def test_a():\n    assert False", b="def test_b():\n    assert False")
    told = play(repository, *(Part(name, (f"tests/test_{name}.py",), 60) for name in ("a", "b", "good")))
    assert {"a", "b", "good"} <= set(told["seconds"])
    shown = capsys.readouterr().out
    assert "FAILED tests/test_a.py::test_a" in shown
    assert "FAILED tests/test_b.py::test_b" in shown


@pytest.mark.release(twin="tests/unit/local/gate/test_again.py")
def test_a_part_is_stopped_after_twice_its_aim_and_all_of_them_at_the_deadline(repository: Path) -> None:
    landed(repository, slow="import time\ndef test_slow():\n    time.sleep(100)")
    began = time.monotonic()
    told = play(repository, Part("slow", ("tests/test_slow.py",), 2), Part("good", ("tests/test_good.py",), 60))
    assert told["result"] == "failed"
    assert set(told["seconds"]) == {"slow", "good"}
    assert "slow: pytest ended with " in told["refusals"][0]
    assert "good" not in " ".join(told["refusals"])
    assert play(repository, Part("slow", ("tests/test_slow.py",), 60), seconds=3)["result"] == "failed"
    assert time.monotonic() - began < 60


COUNTED = (
    "import pathlib\ndef test_a():\n    with pathlib.Path('.berth/ran').open('a') as ran:\n        ran.write('a')\n"
)
STOPPED = """
import os, pathlib, signal
def test_b():
    stop = pathlib.Path('.berth/stop')
    if stop.exists():
        os.kill(os.getpid(), signal.SIGKILL)
"""
EVERY = [(Part("one", ("-p", "_hypothesis_pytestplugin", "tests"), 60),)]


def ran(repository: Path) -> str:
    return (repository / ".berth/ran").read_text()


def test_everything_goes_on_by_file_where_it_was_stopped_and_records_what_is_green(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    landed(repository, a=COUNTED, b=STOPPED)
    (repository / ".berth/stop").touch()
    monkeypatch.setattr("berth_dev.gate.everything.judge", interrupted)
    with pytest.raises(KeyboardInterrupt):
        everything(repository, EVERY)
    monkeypatch.undo()
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (repository / ".berth/stop").unlink()
    everything(repository, EVERY)
    assert ran(repository) == "a"
    first, second = re.findall(r"SEED=(\d+)", capsys.readouterr().out)
    assert first == second
    told = json.loads((repository / "tests/record.json").read_text())
    assert (told["result"], told["release"], told["seed"]) == ("passed", False, first)
    everything(repository, EVERY)
    assert ran(repository) == "aa", "the next run begins anew"
    assert told["tree"] == json.loads((repository / "tests/record.json").read_text())["tree"]


def interrupted(players: Any, stages: Any) -> None:
    """Play, and be interrupted."""
    players.stage(stages[0])
    raise KeyboardInterrupt


def test_a_missed_figure_is_told_and_recorded_and_refuses_nothing(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    landed(repository, a="def test_a(record_property):\n    record_property('missed', '9 s where 3 are wanted')\n")
    everything(repository, EVERY)
    assert "  MISSED 9 s where 3 are wanted\n" in capsys.readouterr().out
    assert json.loads((repository / "tests/record.json").read_text())["missed"] == ["9 s where 3 are wanted"]


def test_everything_that_is_refused_leaves_no_record_and_begins_anew(repository: Path) -> None:
    landed(repository, a=COUNTED, b="def test_b():\n    assert False\n")
    for _ in range(2):
        with pytest.raises(ClusterError, match="refused"):
            everything(repository, EVERY)
    assert ran(repository) == "aa"
    assert not (repository / "tests/record.json").exists()
