"""The ledger holds few unsteady tests, none for long."""

import os
import subprocess
from pathlib import Path

import pytest

from berth_dev.checks import ledger
from berth_dev.errors import ClusterError

NODE = "tests/test_one.py::test_one"
DAY = 24 * 3600
NOW = 1_800_000_000


def commit(folder: Path, age_days: int) -> str:
    date = f"{NOW - age_days * DAY} +0000"
    environment = os.environ | {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.test")
    command = ["git", *identity, "commit", "-q", "--allow-empty", "-m", "x"]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_one.py").write_text("def test_one():\n    pass\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def entry(commit: str, node: str = NODE, cause: str = "wait", times: int = 1) -> str:
    return f'[[unsteady]]\nnode = "{node}"\ncommit = "{commit}"\ncause = "{cause}"\ntimes = {times}\n'


def complaint(repository: Path, text: str) -> str:
    (repository / "tests/unsteady.toml").write_text(text)
    try:
        ledger.check(repository)
    except ClusterError as error:
        return str(error)
    return ""


def test_ten_of_the_last_14_days_may_stand_there(repository: Path) -> None:
    seen = commit(repository, 14)
    commit(repository, 0)
    assert complaint(repository, "# none\n") == ""
    assert complaint(repository, entry(seen, f"{NODE}[a]", times=2) * 10) == ""
    assert "11 entries" in complaint(repository, entry(seen) * 11)


def test_what_is_older_came_thrice_or_is_not_known_may_not(repository: Path) -> None:
    old, new = commit(repository, 15), commit(repository, 0)
    assert "more than 14 days" in complaint(repository, entry(old))
    assert "3 times" in complaint(repository, entry(new, times=3))
    assert "does not know the commit" in complaint(repository, entry("0" * 40))
    assert "does not know the commit" in complaint(repository, entry(""))
    assert "name its cause" in complaint(repository, entry(new, cause=""))
    assert "no such test" in complaint(repository, entry(new, "tests/test_one.py::test_gone"))
    assert "no such test" in complaint(repository, entry(new, "tests/test_gone.py::test_one"))
