"""How old a view is, by the answers to probes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_api.auth.freshness import SILENCE, WATCH_LAG, Freshness
from berth_api.auth.revocations import LONGEST_AGE
from berth_api.auth.view import PROBE_EVERY


def watched(latency: float, *, probes: int = 60, lost: frozenset[int] = frozenset()) -> float:
    """The oldest that a view gets whose probes, but for the lost ones, take so long (seconds)."""
    view = Freshness()
    view.listed(0.0)
    oldest = 0.0
    for asked in range(probes):
        if asked not in lost:
            came = asked * PROBE_EVERY + latency
            oldest = max(oldest, view.age(came))
            view.answered(asked * PROBE_EVERY, came, missing=False)
    return oldest


def test_before_everything_was_listed_a_view_is_infinitely_old() -> None:
    assert Freshness().age(1e9) == float("inf")


@pytest.mark.parametrize("latency", [0.001, 0.5, 1.0, 1.8, 2.4])
def test_a_slow_server_is_not_away(latency: float) -> None:
    assert watched(latency) <= LONGEST_AGE


def test_a_lost_probe_is_not_an_outage() -> None:
    assert watched(0.5, lost=frozenset({7, 8, 20, 33, 34})) <= LONGEST_AGE


def test_a_server_that_becomes_slow_is_not_away() -> None:
    view = Freshness()
    view.listed(0.0)
    for asked, came in ((0.0, 0.01), (1.0, 1.01), (2.0, 3.9), (3.0, 4.8), (4.0, 5.8)):
        assert view.age(came) <= LONGEST_AGE
        view.answered(asked, came, missing=False)
    assert view.age(5.8) == 1.8 + WATCH_LAG


def test_becoming_slow_by_more_than_a_silence_costs_some_seconds_once() -> None:
    """Such as where new connections need two exchanges: nothing tells the first answer from one that was held up."""
    view, refused = Freshness(), []
    view.listed(0.0)
    for asked in range(40):
        came = asked * PROBE_EVERY + SILENCE + 0.6 if asked < 8 else asked * PROBE_EVERY + 1.8
        refused += [came] if view.age(came) > LONGEST_AGE else []
        view.answered(asked * PROBE_EVERY, came, missing=False)
    assert refused
    assert max(refused) <= SILENCE + 0.6 + WATCH_LAG + PROBE_EVERY + 1.8 + PROBE_EVERY


def test_after_a_silence_the_watch_has_a_second_to_catch_up() -> None:
    """All that was held up may arrive at once, the answers before the events."""
    view = Freshness()
    view.listed(0.0)
    for asked in (1.0, 2.0, 3.0, 4.0, 5.0):
        view.answered(asked, 6.0, missing=False)
    assert view.age(6.0) == 6.0
    view.answered(6.5, 6.6, missing=False)
    assert view.age(6.6) == 6.6
    view.answered(7.0, 7.1, missing=False)
    assert view.age(7.1) == pytest.approx(0.1 + WATCH_LAG)


def test_while_something_is_missing_a_view_becomes_no_younger() -> None:
    view = Freshness()
    view.listed(0.0)
    for asked in range(1, 8):
        view.answered(asked, asked + 0.01, missing=True)
    assert view.age(7.01) == 7.01
    view.answered(8.0, 8.01, missing=False)
    assert view.age(8.01) == pytest.approx(0.01 + WATCH_LAG)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 10), st.booleans()), max_size=30))
def test_a_view_is_never_younger_than_its_last_answered_question(probes: list[tuple[float, float, bool]]) -> None:
    view = Freshness()
    view.listed(0.0)
    asked_last, now, heard = 0.0, 0.0, 0.0
    for asked, took, missing in sorted(probes, key=lambda probe: probe[0] + probe[1]):
        now = asked + took
        silent, heard = now - heard > SILENCE, now
        before = view.age(now)
        view.answered(asked, now, missing=missing)
        asked_last = max(asked_last, asked - WATCH_LAG)
        assert view.age(now) >= now - asked_last
        if missing or silent:
            assert view.age(now) == before
