"""Machines that stand still: quotas hold, what was taken comes into use later, and a key makes one instance."""

from .playing import simulation


def test_no_clock_is_needed_to_keep_a_quota() -> None:
    status, said = simulation(SET="pause", SEED=1, HISTORIES=12, PROCESSES=1)
    assert status == 0, said


def test_a_key_makes_one_instance_though_its_process_stands_still_until_it_counts_as_dead() -> None:
    status, said = simulation(SET="dead", SEED=1, HISTORIES=10, PROCESSES=1)
    assert status == 0, said


def test_a_grant_that_is_refused_once_is_written_again_soon() -> None:
    status, said = simulation(SET="slip", SEED=1, HISTORIES=6, PROCESSES=1)
    assert status == 0, said
