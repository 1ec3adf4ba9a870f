from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core import state
from berth_core.kube.conditions import condition
from berth_core.kube.model import timestamp
from berth_core.resources import Instance
from berth_operator.instances.decide import decide
from berth_operator.instances.keepalive.decide import MOST_SILENCE, quiet_since
from berth_operator.instances.plan import Step
from berth_operator.leadership.availability import LONGEST_GAP, Steadiness

from ..samples import NOW, at, bound, seen


def kept(*, ready: float = 0, changed: float | None = None, **spec: Any) -> Instance:
    """One that must be pinged, ready since then; its Ready condition changed last then."""
    shown = condition(state.READY, True, "Ready", "", now=at(ready if changed is None else changed)).wire()
    return bound(status={"readyTime": timestamp(at(ready)), "conditions": [shown]}, **{"keepAlive": True} | spec)


@pytest.mark.parametrize(
    ("instance", "ping", "heard_since", "since"),
    [
        (kept(), None, 0, 0),
        (kept(), 50, 0, 50),
        (kept(ready=30), 10, 0, 30),
        (kept(), 50, 70, 70),
        (kept(changed=80), 50, 0, 80),
        (kept(), 5000, 0, 100),
        (kept(keepAlive=False), None, 0, None),
        (bound(keepAlive=True), None, 0, None),
    ],
)
def test_silence_counts_from_the_latest_of_what_excuses_it(
    instance: Instance, ping: float | None, heard_since: float, since: float | None
) -> None:
    found = quiet_since(instance, None if ping is None else at(ping), at(heard_since), at(100))
    assert found == (None if since is None else at(since))


def test_an_instance_ends_after_60_seconds_of_silence_and_not_before() -> None:
    quiet = seen(instance=kept(), quiet_since=at(10))
    early = decide(quiet, at(69))
    assert (early.step, early.again_at) == (Step.REPORT, at(70))
    late = decide(quiet, at(70))
    assert (late.step, late.reason) == (Step.END, "KeepAliveLost")
    assert "no keep-alive ping came for 60 s" in late.message


def test_silence_counts_by_a_trusted_clock_only() -> None:
    assert decide(seen(instance=kept(), quiet_since=NOW, clock_trusted=False), at(999)).step is Step.REPORT


def test_the_earlier_of_expiry_and_silence_is_looked_at_first() -> None:
    expiring = bound(status={"readyTime": timestamp(NOW), "expireTime": timestamp(at(30))}, keepAlive=True)
    assert decide(seen(instance=expiring, quiet_since=NOW), at(1)).again_at == at(30)
    assert decide(seen(instance=expiring, quiet_since=NOW), at(100)).reason == "Expired"


@given(
    ping=st.none() | st.integers(0, 1000),
    heard=st.integers(0, 1000),
    ready=st.integers(0, 1000),
    now=st.integers(0, 1000),
)
def test_nobody_who_pinged_within_the_interval_is_ended(ping: int | None, heard: int, ready: int, now: int) -> None:
    since = quiet_since(kept(ready=ready), None if ping is None else at(ping), at(heard), at(now))
    assert since is not None
    if at(now) - since >= MOST_SILENCE:
        assert all(at(now) - at(moment) >= MOST_SILENCE for moment in (ping or 0, heard, ready))


def steady(*moments: datetime) -> Steadiness:
    made = Steadiness()
    for moment in moments:
        made.answered(moment)
    return made


def test_an_unbroken_run_of_answers_goes_on() -> None:
    assert Steadiness().since is None
    assert steady(at(0), at(1.5), at(1.5) + LONGEST_GAP).since == at(0)


def test_after_a_break_the_run_begins_anew() -> None:
    run = steady(at(0), at(1.5))
    run.broke()
    assert run.since is None
    run.answered(at(3))
    run.answered(at(4.5))
    assert run.since == at(3)


@pytest.mark.parametrize("moment", [7.0, 3600.0, -1.0])
def test_a_machine_that_slept_or_a_clock_that_was_set_is_a_break(moment: float) -> None:
    assert steady(at(0), at(1.5), at(moment)).since == at(moment)
