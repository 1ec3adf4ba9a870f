from typing import Any

import pytest

from berth_core.kube.conditions import find
from berth_core.kube.model import timestamp
from berth_operator.deployments.decide import ObservedDeployment, deployment_status, type_status

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


def test_of_two_with_one_id_the_older_has_it() -> None:
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
