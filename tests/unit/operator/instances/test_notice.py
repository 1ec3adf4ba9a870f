from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core.kube.model import timestamp
from berth_core.resources import Instance
from berth_operator.instances.decide import decide
from berth_operator.instances.expiry.notice import WARN_BEFORE, held_up, notice, warns_at
from berth_operator.instances.plan import Step

from ..samples import NOW, at, bound, seen, type_


def ending_at(end: datetime, **spec: Any) -> Instance:
    status = {"readyTime": timestamp(NOW), "expireTime": timestamp(end), "observedGeneration": 1}
    return bound(status=status, **spec)


@given(st.integers(1, 10**7), st.integers(0, 10**7))
def test_a_lease_warns_in_its_last_five_minutes_and_not_before(length: int, passed: int) -> None:
    told = notice(ending_at(at(length)), type_(), at(passed))
    assert bool(told) == (timedelta(seconds=length - passed) <= WARN_BEFORE)
    assert not told or f"{at(length):%H:%M:%S} UTC" in told


def test_a_lease_without_an_end_and_one_that_was_never_ready_warn_of_nothing() -> None:
    for observed in (bound(), bound(status={"readyTime": timestamp(NOW)})):
        assert (notice(observed, type_(), at(10**6)), warns_at(observed, type_())) == ("", None)


def test_an_extension_takes_the_notice_back_before_the_status_shows_it() -> None:
    extended = ending_at(at(600), expireAfter=3600, metadata={"generation": 2})
    assert notice(ending_at(at(600)), type_(), at(500))
    assert notice(extended, type_(), at(500)) == ""
    assert notice(extended, type_(), at(3400)), "and brings another one in time"


@pytest.mark.parametrize(("seconds", "again"), [(0, 300), (299, 300), (300, 600), (500, 600)])
def test_an_instance_is_looked_at_again_when_it_is_to_be_warned(seconds: int, again: int) -> None:
    plan = decide(seen(instance=ending_at(at(600))), at(seconds))
    assert (plan.step, plan.again_at) == (Step.REPORT, at(again))


def test_a_lease_that_goes_on_for_want_of_a_clock_says_so() -> None:
    late = ending_at(at(60))
    assert "12:01:00" in held_up(seen(instance=late, clock_trusted=False), at(61))
    assert held_up(seen(instance=late, clock_trusted=False), at(59)) == ""
    assert held_up(seen(instance=late), at(61)) == ""
