from typing import Any

import pytest

from berth_core.kube.conditions import find
from berth_core.kube.model import timestamp
from berth_core.machines.placement import FAULTS, Fault
from berth_core.resources import WorkspaceDeployment
from berth_core.resources.workspacedeployment import Health
from berth_operator.deployments.decide import ObservedDeployment, deployment_status, maintenance_left, type_status
from berth_operator.presence.decide import Presence, Tally
from berth_operator.presence.target import Problem, Target

from ..samples import NOW, at, deployment, type_

OLDER: dict[str, Any] = {"metadata": {"uid": "elder", "creationTimestamp": timestamp(at(-60))}}


def reasons(observed: ObservedDeployment) -> dict[str, tuple[str, str]]:
    return {c.type: (c.status, c.reason) for c in deployment_status(observed, NOW).conditions}


def test_a_new_deployment_is_free_and_has_its_id() -> None:
    wd = deployment()
    assert deployment_status(ObservedDeployment(wd), NOW).id == wd.public_id
    assert reasons(ObservedDeployment(wd)) == {
        "Available": ("True", "Free"),
        "IdConflict": ("False", "Unique"),
        "Online": ("True", "NoHeartbeat"),
        "Quarantined": ("False", "Sound"),
    }


@pytest.mark.parametrize(
    ("heartbeat", "node_ready", "online", "available"),
    [("node", True, "True", "Free"), ("node", False, "False", "Offline"), ("lease", None, "False", "Offline")],
)
def test_what_does_not_show_that_it_is_there_is_offline(
    heartbeat: str, node_ready: bool | None, online: str, available: str
) -> None:
    found = reasons(ObservedDeployment(deployment(heartbeat=heartbeat), node_ready=node_ready))
    assert (found["Online"][0], found["Available"][1]) == (online, available)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ({}, "TwoWalls"),
        ({"addCapabilities": ["SYS_NICE"]}, "TwoWalls"),
        ({"privileged": True}, "OneWall"),
        ({"addCapabilities": ["cap_net_raw"]}, "OneWall"),
        ({"addCapabilities": ["NET_ADMIN"]}, "OneWall"),
    ],
)
def test_a_type_that_gets_past_its_ruleset_leaves_a_machine_one_wall(template: dict[str, Any], reason: str) -> None:
    kind = type_(template={"image": "x", **template})
    arm = deployment(machine={"network": {"addresses": ["192.0.2.40/32"]}})
    assert reasons(ObservedDeployment(arm, type=kind))["Walled"][1] == reason
    assert "Walled" not in reasons(ObservedDeployment(deployment(), type=kind))
    status = deployment_status(ObservedDeployment(arm, type=kind), NOW)
    without = deployment(status=status.wire())
    assert reasons(ObservedDeployment(without, type=kind))["Walled"][0] == "True", "it names no endpoint any more"


@pytest.mark.parametrize("reason", sorted(FAULTS))
def test_a_machine_that_may_not_be_lent_is_offline_whatever_its_heartbeat_says(reason: str) -> None:
    observed = ObservedDeployment(
        deployment(heartbeat="node"), node_ready=True, machine=Fault(reason, "since it is so")
    )
    assert reasons(observed)["Online"] == ("False", reason)
    assert reasons(observed)["Available"] == ("False", "Offline")


def test_of_two_with_one_id_the_older_has_it() -> None:
    arm = deployment(machine={"network": {"addresses": ["192.0.2.40/32"]}})
    rivals = (deployment(**OLDER),)
    assert deployment_status(ObservedDeployment(arm), NOW).endpoints is not None
    assert deployment_status(ObservedDeployment(arm, rivals), NOW).endpoints is None, "it blocks nobody"
    younger, elder = deployment(), deployment(**OLDER)
    assert reasons(ObservedDeployment(younger, (elder,)))["IdConflict"] == ("True", "IdConflict")
    assert reasons(ObservedDeployment(younger, (elder,)))["Available"] == ("False", "IdConflict")
    assert reasons(ObservedDeployment(elder, (younger,)))["IdConflict"] == ("False", "Unique")


@pytest.mark.parametrize(
    ("added", "named"),
    [
        ({"nodeSelector": {"robot": "8"}}, "nodeSelector[robot]"),
        ({"devices": {"example.com/arm": 0}}, "devices[example.com/arm]"),
        ({"devices": {"cpu": 64}}, "devices[cpu]"),
        ({"devices": {"example.com/fpga": 2}}, "devices[example.com/fpga]"),
    ],
)
def test_overrides_that_change_the_template_keep_the_machine_from_being_lent(added: dict[str, Any], named: str) -> None:
    template = {
        "image": "x",
        "nodeSelector": {"robot": "7"},
        "devices": {"example.com/arm": 1},
        "resources": {"limits": {"example.com/fpga": 1}},
    }
    kind = type_(template=template)
    wrong = deployment_status(ObservedDeployment(deployment(overrides=added), type=kind), NOW)
    told = find(wrong.conditions, "OverridesConflict")
    assert told is not None
    assert named in told.message
    assert reasons(ObservedDeployment(deployment(overrides=added), type=kind))["Available"] == (
        "False",
        "OverridesConflict",
    )
    mended = deployment(status=wrong.wire())
    assert reasons(ObservedDeployment(mended, type=kind))["OverridesConflict"] == ("False", "Adds")
    assert reasons(ObservedDeployment(mended, type=kind))["Available"] == ("True", "Free")
    same = {"nodeSelector": {"robot": "7", "bench": "b"}, "devices": {"example.com/arm": 1, "example.com/cam": 2}}
    assert "OverridesConflict" not in reasons(ObservedDeployment(deployment(overrides=same), type=kind))


def test_of_two_types_with_one_name_the_older_has_it() -> None:
    younger, elder = type_(), type_(**OLDER)
    for this, other, ready in ((younger, elder, "False"), (elder, younger, "True")):
        found = find(type_status(this, [other], NOW).conditions, "Ready")
        assert found is not None
        assert found.status == ready


def test_a_silent_node_quarantines_and_its_return_ends_that() -> None:
    held = {"lease": {"instance": "x", "user": "eve", "claimedAt": timestamp(NOW)}, "epoch": 1}
    silent = deployment_status(ObservedDeployment(deployment(status=held), lost_node="node-2"), NOW)
    told = find(silent.conditions, "Quarantined")
    assert told is not None
    assert told.status == "True"
    assert "berth release one --force --reason" in told.message
    back = deployment(status=silent.wire())
    assert reasons(ObservedDeployment(back))["Quarantined"] == ("False", "Sound")


def test_a_quarantine_for_another_reason_stays() -> None:
    other: dict[str, Any] = {
        "type": "Quarantined",
        "status": "True",
        "reason": "Broken",
        "lastTransitionTime": timestamp(NOW),
    }
    found = reasons(ObservedDeployment(deployment(status={"conditions": [other]})))
    assert found["Quarantined"] == ("True", "Broken")
    assert found["Available"] == ("False", "Quarantined")


PROBE: dict[str, Any] = {"health": {"tcp": 30002, "host": "192.168.7.40"}}
TARGET = Target("192.168.7.40", 30002)
LEASE: dict[str, Any] = {"lease": {"instance": "x", "user": "eve", "claimedAt": timestamp(NOW)}, "epoch": 1}


def probed(reachable: bool | None, *, status: dict[str, Any] | None = None, **spec: Any) -> ObservedDeployment:
    wd = deployment(status=status, **PROBE, **spec)
    return ObservedDeployment(wd, presence=Presence(Health(tcp=30002), TARGET, Tally(reachable=reachable)))


@pytest.mark.parametrize(
    ("reachable", "online", "available"),
    [
        (True, ("True", "Answers"), "Free"),
        (False, ("False", "NoAnswer"), "Offline"),
        (None, ("False", "AnswerAwaited"), "Offline"),
    ],
)
def test_a_machine_that_does_not_answer_is_offline(
    reachable: bool | None, online: tuple[str, str], available: str
) -> None:
    told = reasons(probed(reachable))
    assert (told["Online"], told["Available"][1]) == (online, available)
    status = deployment_status(probed(reachable), NOW)
    found, word = find(status.conditions, "Available"), find(status.conditions, "Reachable")
    assert found is not None
    assert word is not None
    assert available == "Free" or found.message == word.message


def test_an_address_that_is_not_probed_is_offline_and_says_why() -> None:
    problem = Problem("AddressForbidden", "10.96.0.1 is not probed, since it is outside")
    told = deployment_status(ObservedDeployment(deployment(**PROBE), presence=Presence(Health(tcp=1), problem)), NOW)
    found = find(told.conditions, "Available")
    assert found is not None
    assert (found.reason, found.message) == ("Offline", problem.message)


def test_a_probe_does_not_outvote_a_heartbeat_nor_the_reverse() -> None:
    silent_node = probed(True, heartbeat="node")
    assert reasons(silent_node)["Online"] == ("False", "NodeNotReady")
    wd = deployment(heartbeat="node", **PROBE)
    away = Presence(Health(tcp=1), TARGET, Tally(reachable=False))
    assert reasons(ObservedDeployment(wd, node_ready=True, presence=away))["Online"] == ("False", "NoAnswer")
    there = Presence(Health(tcp=1), TARGET, Tally(reachable=True))
    assert reasons(ObservedDeployment(wd, node_ready=True, presence=there))["Online"] == ("True", "NodeReady")


def test_a_lease_goes_on_while_the_machine_is_away_and_nobody_else_gets_it_then() -> None:
    told = deployment_status(probed(False, status=LEASE), NOW)
    found = find(told.conditions, "Available")
    assert found is not None
    assert found.reason == "Leased"
    given_back = deployment(status=told.wire() | {"lease": None}, **PROBE)
    assert reasons(ObservedDeployment(given_back, presence=probed(None).presence))["Available"] == ("False", "Offline")


def maintained(
    until: float | None, passed: float = 0, *, trusted: bool = True, status: dict[str, Any] | None = None
) -> tuple[WorkspaceDeployment, dict[str, tuple[str, str]]]:
    """A deployment whose maintenance ends so many seconds after NOW, as a pass after some seconds leaves it."""
    end = {"until": timestamp(at(until))} if until is not None else {}
    wd = deployment(maintenance={"reason": "new gripper"} | end, status=status)
    seen = ObservedDeployment(wd, clock_trusted=trusted)
    told = deployment_status(seen, at(passed))
    after = wd.model_copy(update={"status": told})
    return after, {c.type: (c.status, c.reason) for c in told.conditions}


def test_a_maintenance_shows_why_and_until_when_and_ends_by_itself() -> None:
    wd, told = maintained(60, 59)
    assert (told["Maintenance"], told["Available"]) == (("True", "UnderMaintenance"), ("False", "Maintenance"))
    found = find(wd.status.conditions, "Available")
    assert found is not None
    assert found.message == f"under maintenance until {timestamp(at(60))}: new gripper"
    assert maintenance_left(ObservedDeployment(wd), at(59)) == at(60) - at(59)
    over, told = maintained(60, 60, status=wd.status.wire())
    assert (told["Maintenance"], told["Available"]) == (("False", "MaintenanceOver"), ("True", "Free"))
    assert over.maintenance is None
    assert maintenance_left(ObservedDeployment(over), at(60)) is None
    assert maintained(60, 30, status=over.status.wire())[1]["Available"] == ("True", "Free"), "its end is the end"


def test_a_maintenance_without_an_end_and_one_by_a_clock_that_is_not_trusted_go_on() -> None:
    assert maintained(None, 10**8)[1]["Available"] == ("False", "Maintenance")
    wd, told = maintained(60, 10**6, trusted=False)
    assert told["Available"] == ("False", "Maintenance")
    left = maintenance_left(ObservedDeployment(wd, clock_trusted=False), at(10**6))
    assert left is not None
    assert left.total_seconds() > 0


def test_another_maintenance_counts_from_its_writing_on() -> None:
    over, _ = maintained(60, 61)
    again = over.model_copy(update={"metadata": over.metadata.model_copy(update={"generation": 2})})
    assert again.maintenance is not None
    ended = deployment(status=over.status.wire())
    assert ended.maintenance is None
    assert reasons(ObservedDeployment(ended))["Maintenance"] == ("False", "MaintenanceOver")
