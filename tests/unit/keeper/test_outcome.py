"""Meaning of an answer."""

import pytest

from berth_keeper import outcome
from berth_keeper.outcome import of_state, of_status


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_success_is_any_2xx(status: int) -> None:
    assert of_status(status) is None


@pytest.mark.parametrize("status", [101, 199, 300, 302, 400, 401, 500, 503])
def test_anything_else_is_a_failure_that_names_the_status_alone(status: int) -> None:
    failure = of_status(status)
    assert failure is not None
    assert (failure.reason, failure.done, str(status) in failure.message) == (outcome.ANSWERED, False, True)


@pytest.mark.parametrize(
    ("body", "shown"), [("power: OFF", True), ("power: ON", False), ("", None), ("ON or OFF", None)]
)
def test_a_state_counts_where_the_answer_shows_one_and_not_the_other(body: str, shown: bool | None) -> None:
    assert of_state(body, "OFF", "ON") is shown
