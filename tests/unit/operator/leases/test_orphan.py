"""When a lease counts as one whose Instance does not come."""

import pytest

from berth_core import ids
from berth_core.resources import Instance, WorkspaceDeployment
from berth_operator.engine.writes import Refusals
from berth_operator.leases.orphan import Orphan, Sightings, holder, orphan_of, patience

from ..samples import ID, bound, deployment, instance

UID = "3f0e8a52-93c5-4b7e-8f0a-6f6f1c0f4f55"


def held(by: str = ID, epoch: int = 3) -> WorkspaceDeployment:
    lease = {"instance": by, "user": "ada", "claimedAt": "2001-01-01T00:00:00Z"}
    return deployment(status={"lease": lease, "epoch": epoch})


def orphan(by: str = ID, epoch: int = 3) -> Orphan:
    found = orphan_of(held(by, epoch))
    assert found is not None
    return found


def test_an_instance_is_missed_from_when_this_process_saw_that_first_whatever_the_lease_says() -> None:
    missing = Sightings()
    assert missing.age(orphan(), 1000.0) == 0.0
    assert missing.age(orphan(), 1029.0) == 29.0
    missing.forget(orphan())
    assert missing.age(orphan(), 1030.0) == 0.0


@pytest.mark.parametrize("other", [orphan(epoch=4), orphan(by=UID)])
def test_another_lease_of_the_deployment_is_missed_from_then_on(other: Orphan) -> None:
    missing = Sightings()
    missing.age(orphan(), 1000.0)
    assert missing.age(other, 1100.0) == 0.0
    assert len(missing.since) == 1


def test_for_what_surely_does_not_come_nobody_waits() -> None:
    missing = Sightings()
    missing.age(orphan(), 1000.0)
    missing.backdate(orphan(), 1001.0)
    assert missing.age(orphan(), 1001.0) >= patience(orphan())


@pytest.mark.parametrize(("by", "seconds"), [(ID, 30.0), (ids.turn_instance("a uid"), 30.0), (UID, 0.0)], ids=str)
def test_only_a_name_that_berth_drew_may_come_late(by: str, seconds: float) -> None:
    assert patience(orphan(by)) == seconds


def test_a_deployment_without_a_lease_misses_nobody() -> None:
    assert orphan_of(deployment()) is None


@pytest.mark.parametrize(
    ("found", "holds"),
    [
        (instance(claim={"deployment": "one", "epoch": 3}, deployments=["one"]), True),
        (instance(), True),
        (bound(), True),
        (instance(claim={"deployment": "two", "epoch": 1}, deployments=["two"]), False),
        (bound(status={"deployment": "two"}), False),
        (bound(status={"endTime": "2026-11-25T12:00:00Z"}), False),
    ],
)
def test_a_lease_is_held_by_who_lives_and_has_no_other_deployment(found: Instance, holds: bool) -> None:
    assert (holder(held(), [found]) is found) is holds


def test_a_refusal_counts_when_it_has_lasted() -> None:
    refusals = Refusals()
    assert not refusals.confirmed(ID, 1000.0)
    assert not refusals.confirmed(ID, 1009.0)
    assert refusals.confirmed(ID, 1010.0)
    refusals.forget(ID)
    assert not refusals.confirmed(ID, 1011.0)
