"""A change asks for the tests that import what it changed, directly or not."""

import pytest

from berth_dev.checks.changed import concerned
from berth_dev.paths import REPOSITORY


@pytest.mark.thorough
def test_a_change_of_the_core_reaches_tests_of_what_rests_on_it() -> None:
    chosen = concerned({"core/berth_core/leases/availability.py"}, REPOSITORY)
    assert {"tests/unit/core/test_availability.py", "tests/unit/operator/deployments/test_decide.py"} <= set(chosen)
    assert "tests/unit/agent/test_wire.py" not in chosen


@pytest.mark.thorough
def test_a_changed_test_is_run_and_other_files_ask_for_none() -> None:
    own = "tests/unit/agent/test_wire.py"
    assert concerned({own, "docs/how-to/tokens.md", "tests/unit/agent/test_gone.py"}, REPOSITORY) == [own]
