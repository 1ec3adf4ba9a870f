"""Conditions: merging keeps transition times that are still true."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from berth_core.kube.conditions import Condition, condition, find, is_true, merged

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)

STATUSES = st.sampled_from(["True", "False", "Unknown"])
CONDITIONS = st.lists(
    st.builds(
        lambda kind, status, reason: condition(kind, status, reason, "", now=NOW),
        st.sampled_from(["Ready", "Bound", "Ended"]),
        STATUSES,
        st.sampled_from(["A", "B"]),
    ),
    unique_by=lambda c: c.type,
)


def test_an_unchanged_status_keeps_its_transition_time() -> None:
    old = condition("Ready", False, "Starting", "the pod starts", now=NOW)
    new = condition("Ready", False, "Listening", "sshd does not listen yet", now=LATER)
    (kept,) = merged([old], [new])
    assert (kept.reason, kept.last_transition_time) == ("Listening", old.last_transition_time)


def test_a_changed_status_has_the_new_time() -> None:
    old = condition("Ready", False, "Starting", "", now=NOW)
    new = condition("Ready", True, "Serving", "", now=LATER)
    assert merged([old], [new]) == [new]


@given(CONDITIONS)
def test_merging_nothing_or_the_same_changes_nothing_but_the_order(old: list[Condition]) -> None:
    by_type = sorted(old, key=lambda c: c.type)
    assert merged(old, []) == by_type
    assert merged(old, old) == by_type


@given(CONDITIONS, CONDITIONS)
def test_merging_is_idempotent_and_has_each_type_once(old: list[Condition], new: list[Condition]) -> None:
    once = merged(old, new)
    assert merged(once, new) == once
    assert [c.type for c in once] == sorted({c.type for c in [*old, *new]})


def test_looking_conditions_up() -> None:
    known = [condition("Ready", "Unknown", "Silent", "", now=NOW), condition("Bound", True, "Bound", "", now=NOW)]
    assert is_true(known, "Bound")
    assert not is_true(known, "Ready")
    assert not is_true(known, "Ended")
    assert find(known, "Ended") is None


def test_a_condition_is_written_as_the_api_server_takes_it() -> None:
    made = condition("Ready", True, "Serving", "", now=NOW, generation=3)
    assert made.wire() == {
        "type": "Ready",
        "status": "True",
        "observedGeneration": 3,
        "lastTransitionTime": "2026-05-01T12:00:00Z",
        "reason": "Serving",
        "message": "",
    }
