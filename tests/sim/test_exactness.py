"""A seed names one history, to the last byte of its trace, whenever and wherever it is played."""

import pytest

from .playing import simulation


@pytest.mark.parametrize("which", ["core", "full"])
def test_two_runs_of_one_seed_have_the_same_trace(which: str) -> None:
    status, first = simulation("digest", SET=which, SEED=5, hashes="0")
    assert status == 0, first
    # Another process at another time; it was begun with another order of sets, which it puts right itself.
    status, second = simulation("digest", SET=which, SEED=5, hashes="17")
    assert (status, second) == (0, first)


def test_another_seed_has_another_trace() -> None:
    assert simulation("digest", SEED=6) != simulation("digest", SEED=7)


def test_a_history_is_shown_with_its_outcome() -> None:
    status, shown = simulation(SEED=1, HISTORY=0)
    assert status == 0, shown
    assert "set core" not in shown
    assert "no violation; " in shown
    assert "LEADS" in shown
