"""When a relay is worked, and what its status says."""

from typing import Any

import pytest

from berth_core.kube.model import parse_time, timestamp
from berth_core.machines.relays import is_done, outcome, verdict
from berth_core.resources import Relay
from berth_core.resources.machines.relay import RelayStatus
from berth_keeper import schedule
from berth_keeper.outcome import SWITCHED, UNREACHABLE, Outcome

from .samples import NOW, after, relay, request

OK = Outcome(SWITCHED, "the relay answered 200")
FAILED = Outcome(UNREACHABLE, "no connection")


def having(before: Relay, status: RelayStatus) -> Relay:
    return before.model_copy(update={"status": status})


def attempted(before: Relay, how: Outcome, seconds: float = 0) -> Relay:
    asked = before.spec.request
    assert asked is not None
    claimed = having(before, schedule.begun(before, asked, after(seconds)))
    return having(claimed, schedule.ended(claimed, how, after(seconds + 1)))


def test_nothing_is_done_without_a_request_or_for_nothing() -> None:
    assert schedule.due_at(relay(), NOW) is None
    assert schedule.due_at(relay(request(do="nothing")), NOW) is None


def test_an_end_is_tried_until_it_is_done_however_late() -> None:
    end = relay(request())
    assert schedule.due_at(end, after(1e6)) == after(1e6)
    tried = attempted(end, FAILED)
    assert schedule.due_at(tried, after(2)) == after(2)
    done = attempted(tried, OK)
    assert (schedule.due_at(done, after(2)), is_done(done), done.status.attempts) == (None, True, 2)


def test_a_holder_s_request_is_tried_for_a_minute() -> None:
    held = relay(request(end=False))
    assert schedule.due_at(held, after(59)) == after(59)
    assert schedule.due_at(held, after(60)) is None


def test_nobody_else_begins_while_an_attempt_may_be_under_way() -> None:
    end = relay(request())
    claimed = having(end, schedule.begun(end, end.spec.request, NOW))  # type: ignore[arg-type]
    assert schedule.due_at(claimed, after(1)) == after(30)
    assert schedule.due_at(claimed, after(31)) == after(31)
    asked_again = claimed.model_copy(update={"spec": relay(request(2)).spec})
    assert schedule.due_at(asked_again, after(1)) == after(30), "another request waits for it too"


def test_another_request_counts_its_attempts_anew_and_is_not_done_by_the_one_before() -> None:
    done = attempted(relay(request()), OK)
    following = done.model_copy(update={"spec": relay(request(2, "on")).spec})
    assert not is_done(following)
    assert outcome(following) is None
    assert schedule.due_at(following, after(2)) == after(2)
    claimed = having(following, schedule.begun(following, following.spec.request, after(2)))  # type: ignore[arg-type]
    assert (claimed.status.number, claimed.status.attempts, is_done(claimed)) == (2, 1, False)


def test_an_outcome_that_comes_after_another_request_says_nothing_of_that() -> None:
    first = relay(request(1, "on", end=False))
    claimed = having(first, schedule.begun(first, first.spec.request, NOW))  # type: ignore[arg-type]
    meanwhile = claimed.model_copy(update={"spec": relay(request(2)).spec})
    told = having(meanwhile, schedule.ended(meanwhile, OK, after(1)))
    assert (is_done(told), told.status.attempt_until) == (False, None)
    assert schedule.due_at(told, after(1)) == after(1)


@pytest.mark.parametrize("attempts", range(1, 40))
def test_pauses_grow_to_half_a_minute(attempts: int) -> None:
    assert 1.0 <= schedule.pause(attempts) <= schedule.pause(attempts + 1) <= 30.0


def test_a_verdict_that_has_not_changed_is_not_written_again() -> None:
    first = having(relay(), schedule.judged(relay(), "Usable", "it is", NOW))
    assert schedule.judged(first, "Usable", "it is", after(600)) is first.status
    changed = having(first, schedule.judged(first, "SecretMissing", "make it", after(600)))
    known = verdict(changed)
    assert known is not None
    assert (known.status, known.reason, parse_time(known.last_transition_time)) == (
        "False",
        "SecretMissing",
        after(600),
    )


def test_times_are_written_as_the_api_server_takes_them() -> None:
    end: Any = relay(request())
    assert schedule.begun(end, end.spec.request, NOW).attempt_until == timestamp(after(30))
