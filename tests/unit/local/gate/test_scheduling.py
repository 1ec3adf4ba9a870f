"""Files that need the same costly server share a worker, under their own names."""

import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from berth_dev.gate.parts import WORKERS
from berth_dev.gate.scheduling import CHART, CONTROLLERS, scope

ENVTEST = "tests/envtest"
QUICK = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
WITH_CONTROLLERS = """
import pytest
ApiServer = object
@pytest.fixture
def spaces(controllers: ApiServer): ...
@pytest.mark.parametrize("value", ["a b", "c::d"])
def test_one(spaces, value): ...
"""
WITHOUT = """
def test_one(): ...
class TestOthers:
    def test_two(self): ...
def test_three():
    controllers = "are only named"
"""
FILES = {
    f"{ENVTEST}/agent/test_first.py": WITHOUT,
    f"{ENVTEST}/agent/test_last.py": WITHOUT,
    f"{ENVTEST}/chart/test_rights.py": WITHOUT,
    f"{ENVTEST}/chart/test_values.py": WITHOUT,
    f"{ENVTEST}/local/test_server.py": WITH_CONTROLLERS,
    f"{ENVTEST}/operator/test_quota.py": WITH_CONTROLLERS,
    "tests/unit/test_quota.py": WITH_CONTROLLERS.replace("controllers: ApiServer", ""),
}
SHARED = [CHART, CHART, CONTROLLERS, CONTROLLERS]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name, source in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    (tmp_path / "conftest.py").write_text("import pytest\n@pytest.fixture\ndef controllers(): ...\n")
    (tmp_path / "pyproject.toml").write_text("[tool.pytest]\naddopts = ['--import-mode=importlib']\n")
    return tmp_path


def run(repository: Path, *words: str) -> list[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words, "tests"]
    made = subprocess.run(command, cwd=repository, env=os.environ | QUICK, capture_output=True, text=True, check=True)
    return made.stdout.splitlines()


def test_a_file_is_a_scope_unless_it_shares_a_server(repository: Path) -> None:
    alone = [name for name in FILES if scope(repository, name) == name]
    assert alone == [f"{ENVTEST}/agent/test_first.py", f"{ENVTEST}/agent/test_last.py", "tests/unit/test_quota.py"]
    assert [scope(repository, name) for name in FILES if name not in alone] == SHARED


@pytest.mark.thorough
def test_scopes_run_in_one_worker_each_and_first_and_names_stay(repository: Path) -> None:
    named = {line for line in run(repository, "-q", "--collect-only") if "::" in line}
    lines = run(repository, "-v", "-p", "xdist", *WORKERS, "-n", "2")
    ran = [match.groups() for line in lines if (match := re.match(r"\[(gw\d)\].* PASSED (tests/.*?) *$", line))]
    assert {node for _, node in ran} == named
    workers, first = defaultdict[str, set[str]](set), dict[str, str]()
    for worker, node in ran:
        of_node = scope(repository, node.partition("::")[0])
        workers[of_node].add(worker)
        first.setdefault(worker, of_node)
    assert all(len(of_scope) == 1 for of_scope in workers.values())
    assert sorted(first.values()) == [CHART, CONTROLLERS]
