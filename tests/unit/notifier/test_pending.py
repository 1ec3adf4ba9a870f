"""Which Deliveries are begun."""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from berth_notifier.pending import MOST_AT_ONCE, MOST_TO_ONE_HOST, Pending

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def key(number: int) -> tuple[str, str]:
    return "lab", f"d{number}"


def test_what_is_due_is_taken_the_longest_overdue_first() -> None:
    pending = Pending()
    for number, due in enumerate((NOW - SECOND, NOW - 3 * SECOND, NOW + SECOND, NOW)):
        pending.put(key(number), due, f"h{number}")
    assert pending.take(NOW) == [key(1), key(0), key(3)]


def test_one_host_does_not_take_all_places() -> None:
    pending = Pending()
    for number in range(20):
        pending.put(key(number), NOW - SECOND, "slow")
    pending.put(key(99), NOW, "other")
    assert len(pending.take(NOW)) == MOST_TO_ONE_HOST + 1
    with ExitStack() as stack:
        for taken in pending.take(NOW):
            stack.enter_context(pending.under_way(taken))
        assert pending.take(NOW) == []
    assert len(pending.take(NOW)) == MOST_TO_ONE_HOST + 1


def test_the_number_under_way_is_bounded() -> None:
    pending = Pending()
    for number in range(3 * MOST_AT_ONCE):
        pending.put(key(number), NOW, f"h{number}")
    assert len(pending.take(NOW)) == MOST_AT_ONCE


def test_what_is_under_way_is_not_begun_again() -> None:
    pending = Pending()
    pending.put(key(1), NOW, "h")
    with pending.under_way(key(1)):
        assert pending.take(NOW) == []
        assert pending.until_next(NOW) is None
    assert pending.take(NOW) == [key(1)]


def test_what_is_postponed_waits_and_what_is_dropped_is_forgotten() -> None:
    pending = Pending()
    pending.put(key(1), NOW, "h")
    pending.postpone(key(1), NOW + SECOND)
    assert pending.take(NOW) == []
    assert pending.until_next(NOW) == SECOND
    pending.drop(key(1))
    pending.postpone(key(1), NOW)
    assert (len(pending), pending.until_next(NOW)) == (0, None)
