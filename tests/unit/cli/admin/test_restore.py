from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_cli.admin.restore.plan import Found, epochs, place, plan
from berth_core.kube.model import timestamp
from berth_core.leases.epochs import HIGHEST
from berth_core.resources import Instance, Reservation, WorkspaceDeployment
from berth_core.resources.base import ObjectMeta

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ID = "01900000-0000-7000-8000-000000000001"
EPOCHS = st.integers(1, HIGHEST)


def metadata(name: str) -> dict[str, Any]:
    times = {"creationTimestamp": timestamp(NOW)}
    return {"name": name, "namespace": "lab", "uid": f"uid-of-{name}", "resourceVersion": "1"} | times


def deployment(name: str = "one", **status: Any) -> WorkspaceDeployment:
    return WorkspaceDeployment.parse({"metadata": metadata(name), "spec": {"type": "misty"}, "status": status})


def instance(status: dict[str, Any] | None = None, **spec: Any) -> Instance:
    wanted = {"user": "ada", "workspaceType": "misty"} | spec
    return Instance.parse({"metadata": metadata(ID), "spec": wanted, "status": status or {}})


def reservation(**status: Any) -> Reservation:
    spec = {"user": "bob", "workspaceType": "misty", "instance": {"user": "bob", "workspaceType": "misty"}}
    return Reservation.parse({"metadata": metadata("later"), "spec": spec, "status": status})


def opened(epoch: str, name: str = "one", *, instance: str = ID, created: str | None = None) -> dict[str, Any]:
    labels = {"berth.dev/epoch": epoch, "berth.dev/deployment": name, "berth.dev/instance": instance}
    times = {"creationTimestamp": created} if created else {}
    return {"metadata": {"name": f"i-{instance}", "labels": labels, **times}}


def warm(epoch: str) -> dict[str, Any]:
    labels = {"berth.dev/epoch": epoch, "berth.dev/deployment": "one", "berth.dev/warm": "true"}
    return {"metadata": {"name": f"w-one-e{epoch}", "labels": labels}}


def found(**parts: Any) -> Found:
    fields: dict[str, Any] = {"instances": [], "deployments": [], "reservations": [], "opened": []}
    return Found(**(fields | parts))


@given(EPOCHS, EPOCHS, EPOCHS, EPOCHS, st.integers(0, HIGHEST), st.integers(0, 2**52))
def test_leases_begin_above_every_epoch_that_anything_speaks_of(
    claimed: int, bound: int, granted: int, labelled: int, counted: int, above: int
) -> None:
    seen = found(
        instances=[
            instance(claim={"deployment": "one", "epoch": claimed}),
            instance(status={"deployment": "one", "epoch": bound, "reason": "Expired"}),
        ],
        reservations=[reservation(grant={"deployment": "one", "epoch": granted, "instance": ID})],
        deployments=[deployment(epoch=counted), deployment("other")],
        opened=[opened(str(labelled))],
    )
    written = {step.name: step.writes for step in plan(seen, above, NOW) if step.name.startswith("wd/")}
    highest = max(claimed, bound, granted, labelled, above)
    raised, held = written["wd/one"][:-1], written["wd/one"][-1]
    assert raised == (() if counted >= highest else ({"epoch": highest},))
    assert held["epoch"] == max(highest, counted) + 1
    assert written.get("wd/other", ()) == (() if above == 0 else ({"epoch": above},))


@given(EPOCHS, st.integers(0, HIGHEST))
def test_without_remains_it_is_free_at_once(claimed: int, counted: int) -> None:
    seen = found(
        instances=[instance(claim={"deployment": "one", "epoch": claimed})], deployments=[deployment(epoch=counted)]
    )
    steps = [step for step in plan(seen, 0, NOW) if step.name == "wd/one"]
    assert [step.writes for step in steps] == ([({"epoch": claimed},)] if claimed > counted else [])


def test_what_is_left_of_a_lease_holds_its_machine_for_its_last_instance() -> None:
    older = opened("2", instance="0-older")
    left = [older, opened("3", created="2026-01-02T00:00:00Z"), opened("3", created="2026-01-01T00:00:00Z")]
    steps = plan(found(instances=[instance()], deployments=[deployment()], opened=left), 0, NOW)
    (held,) = (step for step in steps if step.name == "wd/one")
    lease = {"instance": ID, "user": "ada", "claimedAt": "2026-01-01T00:00:00Z"}
    assert held.writes == ({"epoch": 3}, {"epoch": 4, "lease": lease})
    assert "next epoch 5 (was 1)" in held.what
    (unknown,) = plan(found(deployments=[deployment()], opened=[older]), 0, NOW)
    assert unknown.writes[-1]["lease"] == {"instance": "0-older", "user": "(unknown)", "claimedAt": timestamp(NOW)}
    held_by = deployment(epoch=4, lease=lease)
    assert plan(found(instances=[instance({"reason": "Restored"})], deployments=[held_by], opened=left), 0, NOW) == []


def test_the_epoch_of_a_warm_pod_is_used_and_nobody_holds_its_machine_which_waits_for_its_end() -> None:
    for left in ([warm("3")], [opened("2"), warm("3")], [warm("2"), opened("3")]):
        (raised,) = plan(found(deployments=[deployment(epoch=2)], opened=left), 0, NOW)
        assert raised.writes == ({"epoch": 3},)


@given(st.sampled_from(["", "x", "-1", "1.5", "٣", str(HIGHEST + 1)]))
def test_a_label_that_is_no_epoch_counts_for_nothing(label: str) -> None:
    assert epochs(found(deployments=[deployment()], opened=[opened(label)])) == {"one": 0}


def test_what_does_not_end_yet_ends_and_what_does_stays_as_it_is() -> None:
    ended = {"type": "Ended", "status": "True", "reason": "Terminated", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    over = [instance({"reason": "Expired"}), instance({"conditions": [ended]})]
    (step,) = plan(found(instances=[instance(), *over]), 0, NOW)
    assert step.name == f"inst/{ID}"
    (status,) = step.writes
    assert (status["id"], status["reason"]) == (ID, "Restored")
    shown = {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}
    assert shown == {"Ended": ("False", "Restored"), "Ready": ("False", "Restored")}


def test_a_deployment_in_somebodys_hands_stays_there_under_a_new_epoch() -> None:
    lease = {"instance": ID, "user": "ada", "claimedAt": "2026-01-01T00:00:00Z"}
    held = deployment(epoch=1, lease=lease)
    assert plan(found(deployments=[held]), 0, NOW) == []
    (step,) = plan(found(deployments=[held]), 7, NOW)
    assert step.writes == ({"lease": None}, {"epoch": 7}, {"epoch": 8, "lease": lease})
    (later,) = plan(found(deployments=[held], opened=[opened("7", instance="0-later")]), 0, NOW)
    assert [write.get("epoch") for write in later.writes] == [None, 7, 8]
    assert later.writes[-1]["lease"]["instance"] == "0-later"
    renewed = deployment(epoch=8, lease=lease)
    assert plan(found(deployments=[renewed]), 7, NOW) == [], "it can be repeated"


def test_a_lease_that_is_held_again_owes_what_its_machine_says() -> None:
    lease = {"instance": ID, "user": "ada", "claimedAt": "2026-01-01T00:00:00Z"}
    owed = [{"name": "power", "secret": "pdu-a", "do": "off"}]
    addon = {"name": "power", "kind": "relay", "secret": "pdu-a", "onLeaseEnd": "off"}
    wire = deployment(epoch=1, lease=lease | {"onEnd": owed}).wire()
    wire["spec"]["machine"] = {"addons": [addon]}
    held = WorkspaceDeployment.parse(wire)
    (renewed,) = plan(found(deployments=[held]), 7, NOW)
    assert renewed.writes == (
        {"lease": None, "settled": 1},
        {"epoch": 7},
        {"epoch": 8, "lease": lease | {"onEnd": owed}},
    )
    free = held.model_copy(update={"status": held.status.model_copy(update={"lease": None})})
    steps = plan(found(instances=[instance()], deployments=[free], opened=[opened("3")]), 0, NOW)
    (taken,) = (step for step in steps if step.name == "wd/one")
    assert taken.writes[-1]["lease"]["onEnd"] == owed


def test_a_reservation_of_which_nothing_is_known_is_pointed_out_once_it_has_its_place() -> None:
    waiting = {"type": "Waiting", "status": "True", "reason": "Waiting", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    (step,) = plan(found(reservations=[reservation(), reservation(conditions=[waiting])]), 0, NOW)
    assert (step.name, step.writes) == ("rsv/later", ({"queued": {"since": timestamp(NOW), "version": 1}},))
    (left,) = plan(found(reservations=[reservation(**step.writes[0])]), 0, NOW)
    assert (left.name, left.writes) == ("rsv/later", ())


@pytest.mark.parametrize(
    ("name", "kept", "since", "version"),
    [
        ("mine", "2026-11-25T11:59:59Z 4711", "2026-11-25T11:59:59Z", 4711),
        ("01a21293-b024-7000-8000-000000000001", "", "2026-11-25T11:59:58Z", 1),
        ("by-kubectl", "", "2026-11-25T12:00:00Z", 1),
        ("broken", "yesterday 4711", "2026-11-25T12:00:00Z", 1),
        ("a-future", "2027-01-01T00:00:00Z 4711", "2026-11-25T12:00:00Z", 1),
    ],
)
def test_a_reservation_has_the_place_that_it_had_in_the_backup(name: str, kept: str, since: str, version: int) -> None:
    annotations = {"annotations": {"berth.dev/queued": kept}} if kept else {}
    was = place(ObjectMeta.model_validate(metadata(name) | annotations))
    assert (was.since, was.version) == (since, version)


def test_leases_begin_above_the_epochs_of_what_cannot_be_read() -> None:
    odd: list[dict[str, Any]] = [
        {"metadata": metadata(ID), "spec": {"claim": {"deployment": "one", "epoch": 7}, "user": 1}},
        {"metadata": metadata("b"), "spec": {}, "status": {"deployment": "two", "epoch": 8}},
        {"metadata": metadata("c"), "status": {"grant": {"deployment": "three", "epoch": 9}}},
        {"metadata": metadata("d"), "spec": "nothing", "status": {"deployment": ["one"], "epoch": "10"}},
    ]
    assert epochs(found(unreadable=odd)) == {"one": 7, "two": 8, "three": 9}
