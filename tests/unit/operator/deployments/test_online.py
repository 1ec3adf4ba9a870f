"""When a machine that renews a Lease is online."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core.kube.conditions import Condition, condition
from berth_operator.deployments.heartbeats import Heartbeats
from berth_operator.deployments.online import AWAITED, LOST, MISSING, SEEN, Beat, due_in, limit_of, online

from ..samples import NOW

REASONS = ["", "NoHeartbeat", SEEN, LOST, AWAITED, MISSING]


def known(reason: str) -> Condition | None:
    return condition("Online", reason == SEEN, reason, "", now=NOW) if reason else None


@pytest.mark.parametrize(
    ("beat", "was", "reason"),
    [
        (None, SEEN, MISSING),
        (Beat(False, 0, 0), "", AWAITED),
        (Beat(False, 0, 0), "NoHeartbeat", AWAITED),
        (Beat(True, 1, 1), AWAITED, SEEN),
        (Beat(True, 1, 1), LOST, SEEN),
        (Beat(True, 60, 60), SEEN, LOST),
        # A new process: what the condition says holds for one limit, and only a renewal brings back.
        (Beat(False, 59, 59), SEEN, SEEN),
        (Beat(False, 60, 60), SEEN, LOST),
        (Beat(False, 1, 1), LOST, LOST),
        # While the cluster did not answer, nothing could be renewed; that it answers again is no renewal.
        (Beat(True, 90, 5), SEEN, SEEN),
        (Beat(True, 90, 5), LOST, LOST),
    ],
)
def test_only_silence_that_counts_takes_it_offline_and_only_a_renewal_brings_it_back(
    beat: Beat | None, was: str, reason: str
) -> None:
    shown = online("one", beat, known(was))
    assert shown[:2] == (reason == SEEN, reason)


beats = st.builds(
    lambda heard, age, part, limit: Beat(heard, age, age * part, limit),
    st.booleans(),
    st.floats(0, 200),
    st.floats(0, 1),
    st.sampled_from([3.0, 60.0]),
)


@given(beat=beats, was=st.sampled_from(REASONS))
def test_the_same_beat_says_the_same_again(beat: Beat, was: str) -> None:
    first = online("one", beat, known(was))
    assert online("one", beat, known(first[1]))[0] == first[0]
    due = due_in(beat)
    if first[0]:
        assert due is not None
        assert 0 < due <= beat.limit
    if beat.heard and beat.age < beat.limit:
        assert first[0]
    if beat.silence >= beat.limit:
        assert not first[0]


def test_a_lease_may_ask_for_a_shorter_limit_only() -> None:
    assert [limit_of(seconds) for seconds in (None, 0, 5, 60, 3600)] == [60, 60, 5, 60, 60]


def lease(renewal: str, version: int) -> dict[str, object]:
    metadata = {"namespace": "lab", "name": "one", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"renewTime": renewal}}


def test_a_renewal_asks_for_a_pass_only_while_the_machine_counts_as_silent() -> None:
    beats = Heartbeats()
    assert beats.note(lease("a", 8)), "its first sight"
    assert not beats.beat(lease("a", 8), 100).heard
    assert not beats.note(lease("a", 9)), "the same again, with another label"
    assert beats.note(lease("b", 10)), "it was not known to be there"
    assert beats.beat(lease("b", 10), 100).heard
    assert not beats.note(lease("c", 11)), "it is known to be there: the pass at its limit will see"
    assert not beats.note(lease("a", 12)), "whatever its clock says"
    assert beats.beat(lease("a", 12), 0.0).silence == 0.0, "silence does not count while nobody answers"
    beats.forget("lab", "one")
    assert not beats.beat(lease("a", 12), 100).heard


def test_a_renewal_that_is_told_late_is_no_sign_of_life() -> None:
    beats = Heartbeats()
    beats.note(lease("b", 10))
    assert not beats.note(lease("a", 9))
    assert not beats.beat(lease("b", 10), 100).heard
