"""The notice board of `berth status`."""

from datetime import UTC, datetime
from typing import Any

import pytest

from berth_cli.admin.deployments import overview
from berth_cli.admin.deployments.maintenance import end_of
from berth_cli.ui.errors import CliError
from berth_core.leases.availability import availability
from berth_core.resources import Instance, WorkspaceDeployment
from berth_core.resources.workspacedeployment import Maintenance

NOW = datetime(2026, 5, 1, tzinfo=UTC)
UID = "5b3f1a57-0a53-4c39-9d8e-8c1f6d2b7e10"


def deployment(name: str, kind: str, lease: dict[str, Any] | None = None) -> WorkspaceDeployment:
    wd = WorkspaceDeployment.parse(
        {
            "metadata": {"name": name, "namespace": "lab", "finalizers": ["berth.dev/fence"]},
            "spec": {"type": kind, "region": "lab-a"},
            "status": {"lease": lease, "epoch": 4, "observedGeneration": 1},
        }
    )
    shown = availability(wd, now=NOW)
    return wd.model_copy(update={"status": wd.status.model_copy(update={"conditions": [shown]})})


def holder() -> Instance:
    return Instance.parse(
        {
            "metadata": {"name": "by-hand", "namespace": "lab", "uid": UID},
            "spec": {"user": "alice", "deployments": ["misty-1"]},
            "status": {"address": {"ipv4": "192.0.2.7", "port": 30022}, "expireTime": "2026-05-01T02:00:00Z"},
        }
    )


def test_a_leased_deployment_shows_its_holder_until_when_and_where() -> None:
    lease = {"instance": UID, "user": "alice", "claimedAt": "2026-05-01T00:00:00Z"}
    (row,) = overview.rows([deployment("misty-1", "misty", lease)], [holder()])
    assert (row.available, row.reason, row.holder, row.instance) == (False, "Leased", "alice", UID)
    assert (row.since, row.until, row.address) == ("2026-05-01T00:00:00Z", "2026-05-01T02:00:00Z", "192.0.2.7:30022")


def test_a_free_deployment_shows_nobody() -> None:
    (row,) = overview.rows([deployment("misty-1", "misty")], [holder()])
    assert (row.available, row.reason) == (True, "Free")
    assert (row.holder, row.since, row.until, row.address) == (None, None, None, None)


def test_a_lease_whose_instance_is_gone_still_shows_its_user() -> None:
    lease = {"instance": "gone", "user": "bob", "claimedAt": "2026-05-01T00:00:00Z"}
    (row,) = overview.rows([deployment("misty-1", "misty", lease)], [])
    assert (row.holder, row.until, row.address) == ("bob", None, None)


def test_one_that_nobody_looked_at_says_so() -> None:
    wd = WorkspaceDeployment.parse({"metadata": {"name": "new", "namespace": "lab"}, "spec": {"type": "misty"}})
    (row,) = overview.rows([wd], [])
    assert (row.available, row.reason) == (None, "Unknown")


def test_rows_are_sorted_by_type_and_name() -> None:
    made = overview.rows([deployment("b", "y"), deployment("a", "y"), deployment("c", "x")], [])
    assert [row.deployment for row in made] == ["c", "a", "b"]


def test_a_deployment_under_maintenance_shows_why_and_until_when() -> None:
    wd = deployment("misty-1", "misty")
    repair = Maintenance(reason="new gripper", until="2026-05-01T02:00:00Z")
    wd = wd.model_copy(update={"spec": wd.spec.model_copy(update={"maintenance": repair})})
    shown = availability(wd, now=NOW)
    wd = wd.model_copy(update={"status": wd.status.model_copy(update={"conditions": [shown]})})
    (row,) = overview.rows([wd], [])
    assert (row.reason, row.until) == ("Maintenance", "2026-05-01T02:00:00Z")
    assert row.message == "under maintenance until 2026-05-01T02:00:00Z: new gripper"


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("4h", "2026-05-01T04:00:00+00:00"),
        ("2026-05-02T17:00:00Z", "2026-05-02T17:00:00+00:00"),
        ("2026-05-02T17:00:00+02:00", "2026-05-02T17:00:00+02:00"),
    ],
)
def test_the_end_of_a_maintenance_is_a_time_or_a_length(text: str, end: str) -> None:
    assert end_of(text, NOW).isoformat() == end


@pytest.mark.parametrize("text", ["2026-05-02T17:00:00", "2026-04-30T00:00:00Z", "tomorrow", "0h", "999999999w"])
def test_an_end_without_a_zone_or_in_the_past_is_refused(text: str) -> None:
    with pytest.raises(CliError, match="--until"):
        end_of(text, NOW)
