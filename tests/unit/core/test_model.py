"""Times and the wire form of parts."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from berth_core.model import parse_time, timestamp
from berth_core.resources import InstanceSpec


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
