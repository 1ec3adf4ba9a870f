"""Random histories of the real operator and API code on virtual time: whatever happens, I1 to I8 hold."""

import os

import pytest

from .playing import simulation

SEED = int(os.environ.get("SEED") or 1)


def test_without_faults_every_invariant_holds_and_nobody_is_told_that_the_server_failed() -> None:
    status, said = simulation(SEED=SEED, HISTORIES=8, FAULTS="none", SET="full", PROCESSES=1)
    assert status == 0, said


@pytest.mark.parametrize("which", ["core", "full"])
def test_every_invariant_holds_under_faults_of_all_classes(which: str) -> None:
    status, said = simulation(SEED=SEED, HISTORIES=15, SET=which, PROCESSES=1)
    assert status == 0, said


@pytest.mark.parametrize(
    ("which", "count"), [("terms", 5), ("calls", 5), ("queue", 5), ("machines", 5), ("free", 4), ("any", 20)]
)
def test_every_invariant_holds_where_a_script_leads(which: str, count: int) -> None:
    status, said = simulation(SEED=SEED, HISTORIES=count, SET=which, PROCESSES=1)
    assert status == 0, said


def test_what_needs_a_write_that_is_refused_for_good_ends_or_says_so() -> None:
    status, said = simulation(SEED=SEED, HISTORIES=15, SET="refused", PROCESSES=1)
    assert status == 0, said


@pytest.mark.release(
    twin="tests/sim/test_histories.py::test_what_needs_a_write_that_is_refused_for_good_ends_or_says_so"
)
def test_each_kind_of_write_is_refused_in_some_history() -> None:
    status, said = simulation(SEED=SEED, HISTORIES=400, SET="refused")
    assert status == 0, said
