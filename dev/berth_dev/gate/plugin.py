"""A plugin of pytest for the parts of `make test` and `make test-all`.

The JUnit file has the whole name of each test, and whether it holds an invariant. With ``GATE_PASSED=file`` each
outcome is written there, and test files that passed whole are not run again.
"""

import os
from pathlib import Path
from typing import Final

import pytest

from berth_dev.gate.outcomes import INVARIANT, NODE

SWITCH: Final = "GATE_PASSED"
_PASSED: Final = "passed"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give each test its properties, and leave out files that passed before."""
    for item in items:
        item.user_properties.append((NODE, item.nodeid))
        if item.get_closest_marker(INVARIANT) is not None:
            item.user_properties.append((INVARIANT, INVARIANT))
    passed = _passed()
    open_files = {item.path for item in items if item.nodeid not in passed}
    if left := [item for item in items if item.path not in open_files]:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item.path in open_files]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write an outcome down; processes of xdist leave that to the one that started them."""
    if (file := os.environ.get(SWITCH)) and "PYTEST_XDIST_WORKER" not in os.environ:
        outcome = "failed" if report.failed else _PASSED if report.when == "teardown" else ""
        if outcome:
            with Path(file).open("a", encoding="utf-8") as passed:
                passed.write(f"{outcome} {report.nodeid}\n")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Let a part succeed of which everything passed before."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and _passed():
        session.exitstatus = pytest.ExitCode.OK


def _passed() -> set[str]:
    """Tests that passed, and never failed, in the run that goes on."""
    file = Path(os.environ.get(SWITCH) or os.devnull)
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    told = {(outcome, node) for outcome, _, node in (line.partition(" ") for line in lines)}
    return {node for outcome, node in told if outcome == _PASSED and ("failed", node) not in told}
