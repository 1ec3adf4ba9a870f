"""A holder is told of a machine that stops answering."""

from berth_core.kube.conditions import Status, condition
from berth_core.resources import WorkspaceDeployment
from berth_operator.presence.view import machine_reachable, notice

from ..samples import NOW, bound, deployment

AWAY = {"conditions": [condition("Reachable", False, "NoAnswer", "tcp 192.0.2.40:1 did not answer", now=NOW).wire()]}
THERE = {"conditions": [condition("Reachable", True, "Answers", "it answers", now=NOW).wire()]}
AWAITED = {"conditions": [condition("Reachable", "Unknown", "AnswerAwaited", "not yet", now=NOW).wire()]}


def test_a_holder_reads_that_the_machine_is_away_and_since_when() -> None:
    text = notice(deployment(status=AWAY))
    assert text == "The machine one has not answered since 2026-11-25T12:00:00Z: tcp 192.0.2.40:1 did not answer.\n"


def test_a_machine_that_answers_or_is_not_asked_brings_no_notice_and_no_condition() -> None:
    for wd in (None, deployment(), deployment(status=THERE), deployment(status=AWAITED)):
        assert notice(wd) == ""
        assert machine_reachable(bound(), wd) == {}


def test_a_holder_sees_the_machine_go_and_come_back() -> None:
    gone = machine_reachable(bound(), deployment(status=AWAY))
    assert gone == {"MachineReachable": (False, "NoAnswer", "tcp 192.0.2.40:1 did not answer")}
    told = [condition(kind, *entry, now=NOW).wire() for kind, entry in gone.items()]
    back = machine_reachable(bound(status={"conditions": told}), deployment(status=THERE))
    assert back == {"MachineReachable": (True, "Answers", "the machine answers again")}


def test_a_holder_reads_that_a_device_is_gone_and_nothing_of_what_stops_no_work() -> None:
    def shown(reason: str, status: Status = "False") -> WorkspaceDeployment:
        return deployment(status={"conditions": [condition("DevicesFound", status, reason, "no arm", now=NOW).wire()]})

    assert "has lacked a device since 2026-11-25T12:00:00Z: no arm." in notice(shown("DeviceMissing"))
    assert machine_reachable(bound(), shown("DeviceMissing")) == {
        "MachineReachable": (False, "DeviceMissing", "no arm")
    }
    for wd in (shown("DeviceAmbiguous"), shown("DeviceAwaited"), shown("NotProven", "Unknown")):
        assert notice(wd) == ""
