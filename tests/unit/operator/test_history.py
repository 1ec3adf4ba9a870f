from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core import names
from berth_core.model import timestamp
from berth_operator.decide.history import REMEMBERED, instance_goes_at, next_look, reservation_goes_at

from .making import NOW, at

KEPT = timedelta(days=30)
MOMENTS = st.lists(st.integers(1, 10**8).map(at), max_size=20)
KEEPING = st.integers(1, 10**8).map(lambda seconds: timedelta(seconds=seconds))


def over(kind: str, when: Any = NOW, **metadata: Any) -> dict[str, Any]:
    status: dict[str, Any] = {"endTime": timestamp(when)}
    if kind == "reservation":
        shown = {"type": "Fulfilled", "status": "True", "lastTransitionTime": timestamp(when)}
        status = {"conditions": [{"type": "Waiting", "status": "False"}, shown]}
    return {"metadata": {"name": "x", "creationTimestamp": timestamp(when), **metadata}, "status": status}


GOES = [(instance_goes_at, "instance"), (reservation_goes_at, "reservation")]


@pytest.mark.parametrize(("goes_at", "kind"), GOES)
def test_what_is_over_goes_after_the_retention_and_what_is_not_never(goes_at: Any, kind: str) -> None:
    assert goes_at(over(kind), KEPT) == NOW + KEPT
    assert goes_at(over(kind) | {"status": {}}, KEPT) is None
    assert goes_at({"metadata": {"name": "x"}}, KEPT) is None
    assert goes_at(over(kind, deletionTimestamp=timestamp(NOW)), KEPT) is None


def test_a_reservation_whose_instance_is_being_made_stays() -> None:
    waiting = {"type": "Waiting", "status": "True", "lastTransitionTime": timestamp(NOW)}
    assert reservation_goes_at({"metadata": {}, "status": {"conditions": [waiting], "grant": {}}}, KEPT) is None


def test_a_reservation_whose_turn_came_to_nothing_goes_too() -> None:
    refused = over("reservation")
    refused["status"]["conditions"][1] |= {"status": "False", "reason": "LeaseLost"}
    assert reservation_goes_at(refused, KEPT) == NOW + KEPT


@pytest.mark.parametrize(("goes_at", "kind"), GOES)
def test_what_a_repeated_request_looks_for_stays_as_long_as_its_key_counts(goes_at: Any, kind: str) -> None:
    made = over(kind, labels={names.IDEMPOTENCY_LABEL: "d"})
    assert goes_at(made, timedelta(minutes=1)) == NOW + REMEMBERED
    assert goes_at(made, KEPT) == NOW + KEPT


@given(MOMENTS, KEEPING)
def test_nothing_goes_much_later_than_it_should(times: list[Any], kept: timedelta) -> None:
    seconds = next_look(times, NOW, kept)
    slack = min(timedelta(minutes=10), kept / 10).total_seconds()
    assert seconds >= slack
    assert seconds <= kept.total_seconds(), "what ends from now on goes later than this"
    for moment in times:
        assert NOW + timedelta(seconds=seconds - slack) <= moment


def test_the_name_of_an_instance_that_did_not_come_stays_taken_for_ten_minutes_at_least() -> None:
    tombstone = over("instance", labels={names.NEVER_MADE_LABEL: "true"})
    assert instance_goes_at(tombstone, timedelta(minutes=1)) == NOW + timedelta(minutes=10)
    assert instance_goes_at(tombstone, KEPT) == NOW + KEPT
