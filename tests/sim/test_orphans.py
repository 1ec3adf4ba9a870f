"""D1: nobody loses a lease that was told of, however late its Instance comes."""

from .playing import simulation


def test_a_slow_clock_takes_no_lease_that_a_client_was_told_of() -> None:
    status, said = simulation(SET="d1", SEED=1, HISTORIES=25, PROCESSES=1)
    assert status == 0, said


def test_a_create_that_comes_when_its_lease_is_given_up_keeps_it_or_finds_its_name_taken() -> None:
    status, said = simulation(SET="late", SEED=1, HISTORIES=15, PROCESSES=1)
    assert status == 0, said
