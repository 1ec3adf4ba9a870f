from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core import names
from berth_core.kube.model import timestamp
from berth_operator.builds.artifacts import PART, kept_bytes
from berth_operator.kinds import BUILDS
from berth_operator.settings.builds import Bounds
from berth_operator.sweeps.retention import (
    REMEMBERED,
    REST,
    Past,
    beyond,
    deployment_goes_at,
    instance_goes_at,
    next_look,
    reservation_goes_at,
)

from ..samples import NOW, at

KEPT = timedelta(days=30)
MOMENTS = st.lists(st.integers(1, 10**8).map(at), max_size=20)
KEEPING = st.integers(1, 10**8).map(lambda seconds: timedelta(seconds=seconds))


def over(kind: str, when: Any = NOW, **metadata: Any) -> dict[str, Any]:
    status: dict[str, Any] = {"endTime": timestamp(when)}
    if kind == "reservation":
        shown = {"type": "Fulfilled", "status": "True", "lastTransitionTime": timestamp(when)}
        status = {"conditions": [{"type": "Waiting", "status": "False"}, shown]}
    return {"metadata": {"name": "x", "creationTimestamp": timestamp(when), **metadata}, "status": status}


GOES = [(instance_goes_at, "instance"), (reservation_goes_at, "reservation")]


@pytest.mark.parametrize(("goes_at", "kind"), GOES)
def test_what_is_over_goes_after_the_retention_and_what_is_not_never(goes_at: Any, kind: str) -> None:
    assert goes_at(over(kind), KEPT) == NOW + KEPT
    assert goes_at(over(kind) | {"status": {}}, KEPT) is None
    assert goes_at({"metadata": {"name": "x"}}, KEPT) is None
    assert goes_at(over(kind, deletionTimestamp=timestamp(NOW)), KEPT) is None


def test_a_machine_that_its_owner_retired_goes_after_the_retention_and_others_never() -> None:
    spec = {"grant": "lab", "dissolved": timestamp(NOW)}
    metadata = {"name": "x", "creationTimestamp": timestamp(NOW)}
    assert deployment_goes_at({"metadata": metadata, "spec": spec}, KEPT) == NOW + KEPT
    for kept in (
        {"metadata": metadata, "spec": {"grant": "lab"}},
        {"metadata": metadata, "spec": {"dissolved": timestamp(NOW)}},
        {"metadata": metadata, "spec": spec, "status": {"lease": {"instance": "i"}}},
        {"metadata": metadata | {"deletionTimestamp": timestamp(NOW)}, "spec": spec},
    ):
        assert deployment_goes_at(kept, KEPT) is None


def test_a_reservation_whose_instance_is_being_made_stays() -> None:
    waiting = {"type": "Waiting", "status": "True", "lastTransitionTime": timestamp(NOW)}
    assert reservation_goes_at({"metadata": {}, "status": {"conditions": [waiting], "grant": {}}}, KEPT) is None


def test_a_reservation_whose_turn_came_to_nothing_goes_too() -> None:
    refused = over("reservation")
    refused["status"]["conditions"][1] |= {"status": "False", "reason": "LeaseLost"}
    assert reservation_goes_at(refused, KEPT) == NOW + KEPT


@pytest.mark.parametrize(("goes_at", "kind"), GOES)
def test_what_a_repeated_request_looks_for_stays_as_long_as_its_key_counts(goes_at: Any, kind: str) -> None:
    made = over(kind, labels={names.IDEMPOTENCY_LABEL: "d"})
    assert goes_at(made, timedelta(minutes=1)) == NOW + REMEMBERED
    assert goes_at(made, KEPT) == NOW + KEPT


@given(MOMENTS, KEEPING)
def test_nothing_goes_much_later_than_it_should(times: list[Any], kept: timedelta) -> None:
    seconds = next_look(times, NOW, kept)
    slack = min(timedelta(minutes=10), kept / 10).total_seconds()
    assert seconds >= slack
    assert seconds <= kept.total_seconds(), "objects that end from now on go later than this"
    for moment in times:
        assert NOW + timedelta(seconds=seconds - slack) <= moment


def test_the_name_of_an_instance_that_did_not_come_stays_taken_for_ten_minutes_at_least() -> None:
    tombstone = over("instance", labels={names.NEVER_MADE_LABEL: "true"})
    assert instance_goes_at(tombstone, timedelta(minutes=1)) == NOW + timedelta(minutes=10)
    assert instance_goes_at(tombstone, KEPT) == NOW + KEPT


WEIGHTS = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(1, 9)), max_size=30)


@given(WEIGHTS, st.integers(1, 30), st.integers(1, 60))
def test_no_user_and_no_namespace_has_too_much_and_the_oldest_go(
    drawn: list[tuple[str, str, int]], per_user: int, per_namespace: int
) -> None:
    past = [
        Past(BUILDS, {"metadata": {"namespace": space, "name": str(n)}, "spec": {"user": user}}, at(n), at(n), size)
        for n, (space, user, size) in enumerate(drawn)
    ]
    gone = beyond(past, Bounds(per_user, per_namespace), lambda one: one.size)
    kept = [one for one in past if one not in gone]
    for space in "ab":
        here = [one for one in kept if one.obj["metadata"]["namespace"] == space]
        assert sum(one.size for one in here) <= per_namespace
        for user in "xyz":
            mine = [one for one in here if one.obj["spec"]["user"] == user]
            assert sum(one.size for one in mine) <= per_user
            older = [
                one for one in gone if (one.obj["metadata"]["namespace"], one.obj["spec"]["user"]) == (space, user)
            ]
            assert all(one.ended < other.ended for one in older for other in mine)


def test_a_user_who_has_too_much_takes_no_room_from_others() -> None:
    def one(user: str, number: int) -> Past:
        obj = {"metadata": {"namespace": "a", "name": f"{user}{number}"}, "spec": {"user": user}}
        return Past(BUILDS, obj, at(number), at(number))

    gone = beyond([one("old", 0), *(one("loud", n) for n in range(1, 50))], Bounds(5, 6))
    assert all(past.obj["spec"]["user"] == "loud" for past in gone)
    assert len(gone) == 44


def test_an_object_weighs_what_its_maker_chose_and_a_little() -> None:
    def weight(spec: dict[str, Any], **metadata: Any) -> int:
        return Past(BUILDS, {"metadata": metadata, "spec": spec}, NOW, NOW).weight

    keys = {"sshKeys": ["k" * 500]}
    assert weight({}) == REST
    assert weight(keys) == weight({"instance": keys}) == REST + 1000, "kubectl keeps a copy of a spec"
    assert weight({}, annotations={"a": "b" * 99}, labels={"c": "d"}) == REST + 102


def test_bytes_of_a_build_are_those_that_are_kept() -> None:
    artifacts = {"size": 7, "sha256": "", "configMaps": ["c"]}
    assert kept_bytes({}) == 0
    assert kept_bytes({"log": ["a", "b"], "logSize": 5, "artifacts": artifacts}) == 12
    assert kept_bytes({"log": ["a", "b"]}) == 2 * PART, "an earlier version wrote no size down"
    assert kept_bytes({"log": [], "logSize": 5, "artifacts": artifacts | {"configMaps": []}}) == 0
