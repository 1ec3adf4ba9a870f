"""Quotas hold though a leader's machine is paused between a slot and its lease, and the lease comes into use later."""

from .playing import simulation


def test_no_clock_is_needed_to_keep_a_quota() -> None:
    status, said = simulation(SET="pause", SEED=1, HISTORIES=12, PROCESSES=1)
    assert status == 0, said
