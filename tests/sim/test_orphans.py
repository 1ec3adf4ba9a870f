"""D1: an API clock that is 40 s slow, with creates up to 0.4 s late, takes nobody's lease."""

from .playing import simulation


def test_a_slow_clock_takes_no_lease_that_a_client_was_told_of() -> None:
    status, said = simulation(SET="d1", SEED=1, HISTORIES=40, PROCESSES=1)
    assert status == 0, said
