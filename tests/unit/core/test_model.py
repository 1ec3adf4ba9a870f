"""Times and the wire form of parts."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core.kube.model import parse_time, timestamp
from berth_core.resources import InstanceSpec, WorkspaceTypeSpec


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_come_back_as_they_went(moment: datetime) -> None:
    assert parse_time(timestamp(moment)) == moment


def test_times_are_written_in_utc() -> None:
    east = timezone(timedelta(hours=2))
    assert timestamp(datetime(2026, 5, 1, 14, tzinfo=east)) == "2026-05-01T12:00:00Z"


def test_absent_fields_are_not_sent() -> None:
    wire = InstanceSpec(user="alice", workspace_type="t").wire()
    assert wire["workspaceType"] == "t"
    assert "claim" not in wire
    assert "deployments" not in wire


@pytest.mark.parametrize(("stored", "means"), [(0, False), (1, True), (5, True), (True, True), (False, False)])
def test_a_number_of_warm_pods_that_was_stored_before_says_whether_there_are_any(stored: int, means: bool) -> None:
    spec = {"typeName": "arm", "template": {"image": "workspace:1"}, "warm": stored}
    assert WorkspaceTypeSpec.model_validate(spec).warm is means
