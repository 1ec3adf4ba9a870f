"""Whether a deployment can be had: the first reason that applies."""

from datetime import UTC, datetime
from typing import Any

import pytest

from berth_core.kube.conditions import condition
from berth_core.leases.availability import availability
from berth_core.resources import WorkspaceDeployment

NOW = datetime(2026, 5, 1, tzinfo=UTC)
LEASE = {"instance": "i", "user": "alice", "claimedAt": "2026-05-01T00:00:00Z"}
REPAIR = {"reason": "new gripper", "until": "2026-06-01T00:00:00Z"}
MACHINE = {"machine": {"network": {"addresses": ["192.0.2.40/32"]}}}
DISSOLVED = {"dissolved": "2026-04-01T00:00:00Z"}


def deployment(
    spec: dict[str, Any] | None = None,
    *,
    lease: bool = False,
    conditions: dict[str, bool] | None = None,
    seen: int | None = 7,
    **metadata: Any,
) -> WorkspaceDeployment:
    shown = [condition(k, v, "Why", f"because of {k}", now=NOW).wire() for k, v in (conditions or {}).items()]
    return WorkspaceDeployment.parse(
        {
            "metadata": {"name": "d", "generation": 7, "finalizers": ["berth.dev/fence"]} | metadata,
            "spec": {"type": "t", **(spec or {})},
            "status": {"conditions": shown, "lease": LEASE if lease else None, "observedGeneration": seen},
        }
    )


@pytest.mark.parametrize(
    ("seen", "reason", "words"),
    [
        (deployment(), "Free", "now"),
        (deployment(conditions={"Online": True, "Quarantined": False, "IdConflict": False}), "Free", "now"),
        (deployment(conditions={"Online": False}), "Offline", "because of Online"),
        (deployment(conditions={"IdConflict": True, "Online": False}), "IdConflict", "because of IdConflict"),
        (
            deployment({"maintenance": REPAIR}, conditions={"Online": False}),
            "Maintenance",
            "until 2026-06-01T00:00:00Z: new",
        ),
        (deployment({"maintenance": {"reason": "new"}}), "Maintenance", "until its owner ends it: new"),
        (deployment({"maintenance": REPAIR, "lockout": True}), "Lockout", "lockout"),
        (deployment({"maintenance": REPAIR}, lease=True), "Leased", "alice"),
        (deployment({"lockout": True}, conditions={"IdConflict": True}), "Lockout", "lockout"),
        (deployment({"lockout": True}, conditions={"Quarantined": True}), "Quarantined", "because of Quarantined"),
        (deployment({"lockout": True}, lease=True, conditions={"Quarantined": True}), "Leased", "alice"),
        (deployment(seen=None), "New", "not looked at it yet"),
        (deployment(seen=6), "Free", "now"),
        (deployment(MACHINE, seen=6), "New", "latest change"),
        (deployment(MACHINE), "Free", "now"),
        (deployment(finalizers=[]), "New", "not looked at it yet"),
        (deployment(finalizers=[], conditions={"Begun": False}), "New", "because of Begun"),
        (deployment(finalizers=[], lease=True), "Leased", "alice"),
        (deployment(deletionTimestamp="2026-05-01T00:00:00Z"), "Deleting", "is being deleted"),
        (deployment(lease=True, deletionTimestamp="2026-05-01T00:00:00Z"), "Leased", "`berth release d` ends it"),
        (deployment(DISSOLVED, lease=True, conditions={"Quarantined": True}), "Dissolved", "2026-04-01"),
    ],
)
def test_the_first_reason_speaks(seen: WorkspaceDeployment, reason: str, words: str) -> None:
    shown = availability(seen, now=NOW)
    assert (shown.type, shown.reason, shown.status) == ("Available", reason, "True" if reason == "Free" else "False")
    assert words in shown.message
    assert shown.observed_generation == 7


@pytest.mark.parametrize(
    ("spec", "conditions", "reason"),
    [
        ({}, {}, "Free"),
        ({}, {"Online": False}, "Offline"),
        ({}, {"Quarantined": True}, "Quarantined"),
        ({"lockout": True}, {}, "Lockout"),
    ],
)
def test_a_maintenance_does_not_stop_owners_and_everything_else_does(
    spec: dict[str, Any], conditions: dict[str, bool], reason: str
) -> None:
    assert (
        availability(deployment({"maintenance": REPAIR} | spec, conditions=conditions), now=NOW, owner=True).reason
        == reason
    )


def test_the_end_of_a_maintenance_is_for_the_operator_to_see_and_counts_for_that_spec_only() -> None:
    for generation, reason in ((7, "Free"), (6, "Maintenance"), (None, "Maintenance")):
        over = condition("Maintenance", False, "MaintenanceOver", "", now=NOW, generation=generation)
        wd = deployment({"maintenance": REPAIR})
        wd = wd.model_copy(update={"status": wd.status.model_copy(update={"conditions": [over]})})
        assert availability(wd, now=NOW).reason == reason
