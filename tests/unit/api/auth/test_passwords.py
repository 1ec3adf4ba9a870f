"""Wrong passwords slow the right one down, and never for long."""

from hypothesis import given
from hypothesis import strategies as st

from berth_api.auth.passwords import FIRST_DELAY, SLOWEST, UNHURRIED, delay


@given(st.integers(0, 10**9))
def test_the_more_failures_the_longer_a_check_waits_within_bounds(failures: int) -> None:
    assert delay(failures) <= delay(failures + 1) <= SLOWEST


def test_some_failures_are_free() -> None:
    assert delay(UNHURRIED - 1) == 0
    assert delay(UNHURRIED) == FIRST_DELAY
