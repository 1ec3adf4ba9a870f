"""A change in some folders is tried with tests that else only `make test-all` runs."""

from pathlib import Path

import pytest

from berth_dev.checks import twins
from berth_dev.gate.parts import TRIGGERS, triggered
from berth_dev.paths import REPOSITORY


def test_a_change_elsewhere_asks_for_nothing() -> None:
    assert triggered([]) == triggered(["core/berth_core/ids.py", "docs/devices/x.md"]) == ()


def test_folders_ask_together_in_one_part() -> None:
    (((chart,),), ((both,),)) = triggered(["crds/instances.yaml"]), triggered(["devices/a.py", "charts/berth/x.yaml"])
    assert chart.words[:2] == both.words[:2] == ("-m", "release")
    assert set(chart.folders) < set(both.folders)


@pytest.mark.parametrize("folder", TRIGGERS)
def test_each_folder_is_there_and_has_such_tests(folder: str) -> None:
    assert (REPOSITORY / folder).is_dir()
    released = {mark.file for mark in twins.marks()}
    for tests in TRIGGERS[folder]:
        assert any(Path(file).is_relative_to(tests) for file in released), tests
