"""Turns of builds: an order like that of reservations, with limits for all and for each user."""

import uuid
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from berth_core import builds
from berth_core.kube.conditions import condition
from berth_core.kube.model import timestamp
from berth_core.resources import Build
from berth_operator.builds.limits import Limits, ahead_of, may_ask, may_start

from ..samples import NOW, at

STATES = ("new", "queued", "running", "postponed", "waiting", "starting", "ending", "over", "canceled", "deleted")


def build(name: str, user: str, state: str, *, age: int = 0, priority: int = 0) -> Build:
    status: dict[str, Any] = {} if state == "new" else {"attempt": 1}
    if state not in ("new", "queued", "canceled", "deleted"):
        status["startTime"] = timestamp(NOW)
    machine = {"postponed": builds.POSTPONED, "waiting": builds.WAITING, "starting": builds.STARTING}
    if state in machine:
        shown = condition(builds.WORKSPACE_READY, False, machine[state], "", now=NOW)
        status["conditions"] = [shown.wire()]
    if state in ("ending", "over"):
        status["reason"] = "Passed"
    if state == "over":
        status["endTime"] = timestamp(NOW)
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "lab",
        "uid": str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
        "creationTimestamp": timestamp(at(-age)),
    }
    if state == "deleted":
        metadata["deletionTimestamp"] = timestamp(NOW)
    spec = {"project": "p", "user": user, "branch": "main", "priority": priority}
    if state == "canceled":
        spec["cancel"] = 1
    return Build.parse({"metadata": metadata, "spec": spec, "status": status})


KNOWN = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(STATES), st.integers(0, 5), st.integers(-1, 1)), max_size=30
).map(
    lambda rows: [
        build(f"b-{number:02}", user, state, age=age, priority=priority)
        for number, (user, state, age, priority) in enumerate(rows)
    ]
)
LIMITS = st.builds(Limits, concurrent=st.integers(1, 6), per_user=st.integers(1, 4))


def state_of(one: Build) -> str:
    status = one.status
    if one.metadata.deletion_timestamp or builds.is_canceled(one):
        return "out"
    if status.attempt is None:
        return "new"
    return "queued" if status.start_time is None else "begun"


@given(KNOWN, LIMITS)
def test_starts_keep_the_limits_and_the_order(known: list[Build], limits: Limits) -> None:
    chosen = may_start(known, limits)
    running = [one for one in known if builds.has_place(one)]
    assert len(running) + len(chosen) <= max(limits.concurrent, len(running))
    before = Counter(one.spec.user for one in running)
    after = before + Counter(one.spec.user for one in chosen)
    for user, count in after.items():
        assert count <= max(limits.per_user, before[user])
    assert all(state_of(one) == "queued" for one in chosen)
    assert chosen == sorted(chosen, key=builds.turn)
    passed_over = [one for one in known if state_of(one) == "queued" and one not in chosen]
    for one in passed_over:
        full = len(running) + len(chosen) >= limits.concurrent
        later = [other for other in chosen if builds.turn(other) > builds.turn(one)]
        # A build goes before its predecessor only where the predecessor's user is at the limit.
        assert full or after[one.spec.user] >= limits.per_user
        assert not later or after[one.spec.user] >= limits.per_user


@given(KNOWN, LIMITS)
def test_of_one_user_s_builds_only_some_queue_for_machines(known: list[Build], limits: Limits) -> None:
    chosen = may_ask(known, limits)
    reasons = {one.metadata.name: one.status.conditions[0].reason for one in known if one.status.conditions}
    before = Counter(one.spec.user for one in known if reasons.get(one.metadata.name) == builds.WAITING)
    after = before + Counter(one.spec.user for one in chosen)
    for user, count in after.items():
        assert count <= max(limits.per_user, before[user])
    for one in known:
        if reasons.get(one.metadata.name) == builds.POSTPONED and one not in chosen:
            assert after[one.spec.user] >= limits.per_user
            assert all(builds.turn(other) < builds.turn(one) for other in chosen if other.spec.user == one.spec.user)


def test_who_waits_for_a_machine_holds_nobody_up() -> None:
    known = [build(f"w-{number}", "ada", "waiting") for number in range(9)] + [build("next", "ada", "queued")]
    assert [one.metadata.name for one in may_start(known, Limits(1, 1))] == ["next"]


def test_a_machine_that_is_there_is_used_though_all_places_are_taken() -> None:
    running = [build(f"r-{number}", "bob", "running") for number in range(2)]
    got = build("got", "ada", "starting")
    assert builds.has_place(got)
    assert may_start([*running, got, build("next", "cyd", "queued")], Limits(3, 2)) == []


def test_a_place_is_free_when_the_machine_was_asked_back() -> None:
    assert may_start([build("ends", "ada", "ending"), build("next", "bob", "queued")], Limits(1, 1)) == []
    found = may_start([build("ended", "ada", "over"), build("next", "bob", "queued")], Limits(1, 1))
    assert [one.metadata.name for one in found] == ["next"]


def test_those_before_are_counted_by_user() -> None:
    known = [build("first", "ada", "queued", age=9), build("other", "bob", "queued", age=8)]
    known += [build("runs", "ada", "running", age=7), build("mine", "ada", "queued", age=1)]
    assert [ahead_of(one, known) for one in known] == [0, 0, 1, 1]
