"""A replica's memory of its renewals."""

from hypothesis import given
from hypothesis import strategies as st

from berth_api.keepalive.renewals import RENEW_EVERY, Renewals


def test_a_renewal_is_good_for_some_seconds() -> None:
    renewals = Renewals()
    assert not renewals.is_recent("a", 100.0)
    renewals.remember("a", 100.0)
    assert renewals.is_recent("a", 100.0 + RENEW_EVERY - 0.1)
    assert not renewals.is_recent("a", 100.0 + RENEW_EVERY)
    assert not renewals.is_recent("b", 100.0)


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 3)), max_size=80))
def test_memory_is_bounded_and_true(pings: list[tuple[int, float]]) -> None:
    renewals, now, last = Renewals(most=8), 0.0, dict[str, float]()
    for number, passed in pings:
        now += passed
        renewals.remember(str(number), now)
        last[str(number)] = now
        assert len(renewals) <= 8
        assert renewals.is_recent(str(number), now)
        for name, renewed in last.items():
            assert not renewals.is_recent(name, now) or now - renewed < RENEW_EVERY
    renewals.remember("the last", now + RENEW_EVERY + 1)
    assert len(renewals) == 1
