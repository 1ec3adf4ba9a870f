"""When a Delivery is tried, and what its status says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core.keys.webhooks import DELIVERED, GIVEN_UP
from berth_core.kube.conditions import find
from berth_core.kube.model import parse_time
from berth_core.resources import Delivery
from berth_core.resources.delivery import DeliveryStatus
from berth_notifier import outcome, schedule, sweeping
from berth_notifier.outcome import Outcome

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FAILED = Outcome(outcome.REFUSED_BY_RECEIVER, "the receiver answered 500")
OK = Outcome(outcome.DELIVERED, "the receiver answered 200", final=True)
GONE = Outcome(outcome.GONE, "the receiver answered 410", final=True)


def delivery(status: DeliveryStatus | None = None, **fields: Any) -> Delivery:
    spec = {"url": "https://example.org/", "payload": "{}", "id": "m", "user": "u", "reservation": "r", "instance": "i"}
    obj: dict[str, Any] = {
        "metadata": {"name": "d", "generation": 1, "creationTimestamp": "2026-03-01T11:00:00Z"},
        "spec": spec | fields,
    }
    if status is not None:
        obj["status"] = status.wire()
    return Delivery.parse(obj)


def attempted(before: Delivery, how: Outcome, now: datetime, chance: float = 0.0) -> Delivery:
    return delivery(schedule.ended(delivery(schedule.begun(before, now)), how, now, chance))


def test_a_new_one_is_due_at_once() -> None:
    due = schedule.due_at(delivery())
    assert due is not None
    assert due <= NOW


def test_nobody_else_tries_while_an_attempt_may_be_under_way() -> None:
    claimed = delivery(schedule.begun(delivery(), NOW))
    assert claimed.status.attempts == 1
    due = schedule.due_at(claimed)
    assert due is not None
    assert due >= NOW + timedelta(seconds=schedule.ATTEMPT_SECONDS)


def test_a_delivery_that_was_taken_is_over() -> None:
    done = attempted(delivery(), OK, NOW)
    assert schedule.due_at(done) is None
    assert schedule.over_since(done) == NOW
    assert done.status.next_attempt is None
    assert find(done.status.conditions, GIVEN_UP) is None


def test_gone_is_given_up() -> None:
    done = attempted(delivery(), GONE, NOW)
    assert schedule.due_at(done) is None
    assert [(c.type, c.status, c.reason) for c in done.status.conditions] == [
        (DELIVERED, "False", "Gone"),
        (GIVEN_UP, "True", "Gone"),
    ]


def test_pauses_grow_to_a_day_and_then_it_is_given_up() -> None:
    current, now, pauses = delivery(), NOW, []
    while (due := schedule.due_at(current)) is not None:
        now = max(now, due)
        current = attempted(current, FAILED, now)
        if current.status.next_attempt:
            pauses.append(parse_time(current.status.next_attempt) - now)
    assert pauses == sorted(pauses)
    assert pauses[-1] == DAY
    assert current.status.attempts == schedule.MOST_ATTEMPTS == len(pauses) + 1
    given_up = find(current.status.conditions, GIVEN_UP)
    assert given_up is not None
    assert given_up.reason == "AttemptsExhausted"


def test_one_whose_last_attempt_has_no_known_end_is_given_up_without_another() -> None:
    current = delivery(DeliveryStatus(attempts=schedule.MOST_ATTEMPTS, next_attempt="2026-03-01T11:59:00Z"))
    after = delivery(schedule.begun(current, NOW))
    assert schedule.is_over(after)
    assert after.status.attempts == schedule.MOST_ATTEMPTS


def test_what_failed_before_and_is_taken_then_is_delivered() -> None:
    done = attempted(attempted(delivery(), FAILED, NOW), OK, NOW + DAY)
    told = find(done.status.conditions, DELIVERED)
    assert told is not None
    assert (told.status, told.last_transition_time) == ("True", "2026-03-02T12:00:00Z")


@given(st.integers(0, 50), st.floats(-10, 1e9), st.floats(0, 1))
def test_a_pause_is_neither_nothing_nor_longer_than_a_day(attempts: int, asked: float, chance: float) -> None:
    assert timedelta(seconds=4) <= schedule.pause(attempts, asked, chance) <= DAY


@given(st.integers(1, 9), st.floats(0, 1))
def test_chance_spreads_pauses_by_a_fifth(attempts: int, chance: float) -> None:
    whole = schedule.DELAYS[attempts - 1]
    assert whole * 0.8 <= schedule.pause(attempts, 0, chance) <= whole


@pytest.mark.parametrize(("asked", "most"), [(3600.0, timedelta(hours=1)), (1e9, DAY)])
def test_a_receiver_may_ask_for_a_longer_pause_up_to_a_day(asked: float, most: timedelta) -> None:
    assert schedule.pause(1, asked, 0.0) == most


def test_what_is_over_for_long_is_swept_the_oldest_first() -> None:
    old, older = attempted(delivery(), OK, NOW - 8 * DAY), attempted(delivery(), GONE, NOW - 9 * DAY)
    fresh, waiting = attempted(delivery(), OK, NOW - 6 * DAY), attempted(delivery(), FAILED, NOW - 30 * DAY)
    assert sweeping.due([old, fresh, older, waiting], 7 * DAY, NOW) == [older, old]


def test_of_one_user_only_so_many_stay_that_are_over_the_newest() -> None:
    over = [attempted(delivery(), OK, NOW - timedelta(minutes=n)) for n in range(sweeping.MOST_KEPT + 2)]
    waiting = [attempted(delivery(), FAILED, NOW - timedelta(minutes=n)) for n in range(sweeping.MOST_KEPT + 2)]
    assert sweeping.due([*over, *waiting], 7 * DAY, NOW) == [over[-1], over[-2]]


def told(sequence: int, status: DeliveryStatus | None = None) -> Delivery:
    """One of those that tell how far a build is."""
    return delivery(status, form="github", subject="build 1", sequence=sequence)


def test_a_later_one_waits_until_the_earlier_is_over() -> None:
    first, last = told(11), told(13)
    assert schedule.due_at(last, [first, last]) is None
    over = told(11, schedule.ended(told(11, schedule.begun(first, NOW)), OK, NOW, 0))
    assert schedule.due_at(last, [over, last]) is not None


def test_an_earlier_one_that_waits_is_given_up_at_once() -> None:
    first, last = told(11), told(13)
    due = schedule.due_at(first, [first, last])
    assert due is not None
    assert due <= NOW
    given_up = told(11, schedule.begun(first, NOW, superseded=True))
    found = find(given_up.status.conditions, GIVEN_UP)
    assert found is not None
    assert (found.status, found.reason, given_up.status.attempts) == ("True", "Superseded", 0)
    assert schedule.due_at(last, [given_up, last]) is not None


def test_an_attempt_that_may_be_under_way_is_not_overtaken() -> None:
    last = told(13)
    sending = told(11, schedule.begun(told(11), NOW))
    due = schedule.due_at(sending, [sending, last])
    assert due == NOW + schedule.CLAIM
    assert schedule.due_at(last, [sending, last]) is None


def test_an_attempt_that_has_failed_holds_up_nothing() -> None:
    failed = told(11, schedule.ended(told(11, schedule.begun(told(11), NOW)), FAILED, NOW, 0))
    due = schedule.due_at(failed, [failed, told(13)])
    assert due is not None
    assert due <= NOW


def test_one_that_is_made_late_is_never_sent_after_what_followed_it() -> None:
    done = told(13, schedule.ended(told(13, schedule.begun(told(13), NOW)), OK, NOW, 0))
    late = told(12)
    assert schedule.is_superseded(late, [done, late])
    assert not schedule.is_superseded(done, [done, late])


def test_what_providers_never_take_is_not_tried_again() -> None:
    for status in (400, 422):
        assert outcome.of_status(status, is_webhook=False).final
        assert not outcome.of_status(status).final
    for status in (401, 404, 500):
        assert not outcome.of_status(status, is_webhook=False).final
