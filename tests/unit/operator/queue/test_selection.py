from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core.kube.model import timestamp
from berth_core.kube.types import Object
from berth_core.queue.waiters import Waiter, in_turn
from berth_core.resources import Instance, Reservation, WorkspaceDeployment
from berth_operator.queue.selection import next_turns, obstacle, offers

from ..samples import at, type_

KIND = type_()


def waits(name: str, seconds: float = 0, *deployments: str, user: str = "ada", priority: int = 0) -> Reservation:
    """A reservation that was made some seconds after noon: for the type, or for some deployments."""
    target: dict[str, Any] = {"deployments": list(deployments)} if deployments else {"workspaceType": "bench"}
    spec = {"user": user, "priority": priority, "instance": {"user": user}} | target
    return Reservation.parse({"metadata": metadata(name, seconds), "spec": spec})


def waits_with_kubectl(name: str, seconds: float = 0, *deployments: str) -> Instance:
    target: dict[str, Any] = {"deployments": list(deployments)} if deployments else {"workspaceType": "bench"}
    return Instance.parse({"metadata": metadata(name, seconds), "spec": {"user": "ada"} | target})


def metadata(name: str, seconds: float) -> Object:
    return {"name": name, "namespace": "lab", "uid": f"u-{name}", "creationTimestamp": timestamp(at(seconds))}


def machine(name: str, version: int = 1, instances: int = 0, *, free: bool = True, **spec: Any) -> Object:
    available = {"type": "Available", "status": "True" if free else "False", "reason": "Free"}
    available["lastTransitionTime"] = timestamp(at(0))
    return {
        "metadata": metadata(name, 0) | {"generation": 1, "finalizers": ["berth.dev/fence"]},
        "spec": {"type": "bench", "typeVersion": version} | spec,
        "status": {"instances": instances, "conditions": [available], "observedGeneration": 1},
    }


def anyone(_waiter: Waiter, _wd: WorkspaceDeployment) -> bool:
    return True


def served(
    resources: Sequence[Reservation | Instance], machines: list[Object], permitted: Any = anyone
) -> list[tuple[str, str]]:
    """Waiters and their deployments, one turn after the other."""
    waiters, offered = in_turn(resources), offers(KIND, machines)
    found = []
    while turns := next_turns(waiters, offered, permitted, most=1):
        ((waiter, wd),) = turns
        found.append((waiter.name, wd.metadata.name))
        waiters, offered = [w for w in waiters if w != waiter], [o for o in offered if o != wd]
    assert found == _names(next_turns(in_turn(resources), offers(KIND, machines), permitted, most=len(machines) + 1))
    return found


def _names(turns: Sequence[tuple[Waiter, WorkspaceDeployment]]) -> list[tuple[str, str]]:
    return [(waiter.name, wd.metadata.name) for waiter, wd in turns]


def test_turns_end_at_the_bound_and_with_a_quota_before_the_second_of_a_user() -> None:
    machines = [machine(name) for name in "abcd"]
    waiters = in_turn([waits("1", 0), waits("2", 1, user="bob"), waits("3", 2), waits("4", 3, user="eve")])
    assert _names(next_turns(waiters, offers(KIND, machines), anyone, most=3)) == [("1", "a"), ("2", "b"), ("3", "c")]
    by_quota = next_turns(waiters, offers(KIND, machines), anyone, most=9, one_each=True)
    assert _names(by_quota) == [("1", "a"), ("2", "b")], "the fourth must not have what the third may need"


def test_newest_version_then_fewest_instances_then_name() -> None:
    machines = [
        machine("d", 1),
        machine("c", 2, 5),
        machine("b", 2, 1),
        machine("a", 2, 1),
        machine("busy", 9, free=False),
    ]
    assert [wd.metadata.name for wd in offers(KIND, machines)] == ["a", "b", "c", "d"]
    assert served([waits("me", 0, "d", "busy", "c", "absent")], machines) == [("me", "c")]


@pytest.mark.parametrize("change", [{"lockout": True}, {"dissolved": timestamp(at(0))}])
def test_what_was_taken_away_is_not_offered_though_its_condition_says_so_still(change: dict[str, Any]) -> None:
    assert offers(KIND, [machine("a", **change)]) == []


def test_a_retired_or_unknown_type_lends_nothing() -> None:
    assert offers(type_(retired=True), [machine("a")]) == []
    assert offers(None, [machine("a")]) == []


def test_priority_then_age_then_name_whatever_they_wait_with() -> None:
    waiting: list[Reservation | Instance] = [waits("c", 1), waits("z", 9, priority=1)]
    waiting += [waits_with_kubectl("b", 0), waits_with_kubectl("a", 1)]
    machines = [machine(f"m{number}") for number in range(4)]
    assert [name for name, _ in served(waiting, machines)] == ["z", "b", "a", "c"]


def test_who_may_not_have_it_is_passed_over() -> None:
    waiting = [waits("first", 0, user="mallory"), waits("second", 1)]
    assert served(waiting, [machine("one")], lambda waiter, _: waiter.user != "mallory") == [("second", "one")]


def test_what_is_in_the_way_is_said() -> None:
    me, older = Waiter.of(waits_with_kubectl("me")), Waiter.of(waits("older", -1))
    assert "no WorkspaceDeployment of type bench" in obstacle(me, [me], [])
    assert "named x, y" in obstacle(Waiter.of(waits("me", 0, "x", "y")), [], [machine("a")])
    busy = [machine(f"m{number:02}", free=False) for number in range(10)]
    told = obstacle(me, [me, older], busy)
    assert told == "none is free of m00, m01, m02, m03, m04, m05, m06, m07 and 2 more; ahead of it: 1"
    assert "do not let ada have a" in obstacle(me, [me], [machine("a")])
    away, repaired = machine("away", free=False), machine("repaired", free=False)
    away["status"]["conditions"][0]["reason"], repaired["status"]["conditions"][0]["reason"] = "Offline", "Maintenance"
    assert obstacle(me, [me], [away, repaired]) == "none is free of away (Offline), repaired (Maintenance)"


def test_under_maintenance_a_deployment_is_offered_to_owners_and_offline_to_nobody() -> None:
    repaired = machine("repaired", free=False, owners=["bob"], maintenance={"reason": "new gripper"})
    repaired["status"]["conditions"][0]["reason"] = "Maintenance"
    just_begun = machine("begun", owners=["bob"], maintenance={"reason": "new gripper"})

    def permitted(waiter: Waiter, wd: WorkspaceDeployment) -> bool:
        return waiter.may_have(KIND, wd, [])

    waiting = [waits("ada"), waits("bob", 1, user="bob"), waits("bob-again", 2, user="bob")]
    assert served(waiting, [repaired, just_begun], permitted) == [("bob", "begun"), ("bob-again", "repaired")]
    silent = {"type": "Online", "status": "False", "reason": "NoAnswer", "lastTransitionTime": timestamp(at(0))}
    repaired["status"]["conditions"].append(silent)
    assert served(waiting, [repaired], permitted) == []


@given(
    ages=st.lists(st.integers(0, 5), min_size=1, max_size=6),
    wishes=st.data(),
    machines=st.integers(1, 4),
)
def test_nobody_goes_without_while_a_younger_one_gets_what_he_wished_for_and_may_have(
    ages: list[int], wishes: st.DataObject, machines: int
) -> None:
    names = [f"m{number}" for number in range(machines)]
    some = st.lists(st.sampled_from(names), min_size=1, unique=True)
    everyone: list[Reservation | Instance] = []
    for number, age in enumerate(ages):
        made = waits if wishes.draw(st.booleans()) else waits_with_kubectl
        everyone.append(made(f"i{number}", age, *wishes.draw(some)))
    forbidden = wishes.draw(
        st.sets(st.tuples(st.sampled_from([r.metadata.name for r in everyone]), st.sampled_from(names)))
    )

    def permitted(waiter: Waiter, wd: WorkspaceDeployment) -> bool:
        return (waiter.name, wd.metadata.name) not in forbidden

    got = dict(served(everyone, [machine(name) for name in names], permitted))
    assert len(set(got.values())) == len(got), "none is given twice"
    by_name = {w.name: w for w in in_turn(everyone)}
    for name, waiter in by_name.items():
        may = {m for m in names if waiter.wants(m, "bench") and (name, m) not in forbidden}
        if name in got:
            assert got[name] in may
        else:
            assert all(by_name[other].turn < waiter.turn for other, had in got.items() if had in may)
            assert may <= set(got.values()), "nothing that the user may have stays free"
