"""Waiters, and whether they block newcomers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core import ids
from berth_core.queue.waiters import Waiter, ahead_of, in_turn, waits
from berth_core.resources import AccessRule, Instance, Reservation

from .samples import CREATED, deployment, instance, kind, reservation, rule

YES, NO = "CAP_INSTANTIATE", "CAP_NO_INSTANTIATE"
ONE = deployment("one")


@pytest.mark.parametrize(
    "begun",
    [
        instance("i", workspaceType="arm", claim={"deployment": "one", "epoch": 1}),
        instance("i", workspaceType="arm", terminate=True),
        instance("i", workspaceType="arm", status={"reason": "Terminated"}),
        instance("i", workspaceType="arm", status={"deployment": "one", "epoch": 1}),
        reservation("r", workspaceType="arm", status={"grant": {"deployment": "one", "epoch": 1, "instance": "i"}}),
    ],
)
def test_what_has_a_lease_or_ends_waits_no_more(begun: Instance | Reservation) -> None:
    assert not waits(begun)
    assert in_turn([begun]) == []


def test_reservations_and_instances_are_served_in_one_order() -> None:
    urgent = reservation("z", workspaceType="arm", priority=1)
    first, second, third = instance("a", workspaceType="arm"), reservation("b", workspaceType="arm"), instance("c")
    assert [w.name for w in in_turn([third, second, first, urgent])] == ["z", "a", "b", "c"]


def test_the_instance_of_a_turn_follows_from_the_reservation() -> None:
    mine, other = Waiter.of(reservation("a", workspaceType="arm")), Waiter.of(reservation("b", workspaceType="arm"))
    assert mine.instance == ids.turn_instance("uid-of-a") != other.instance
    assert ids.is_uuid(mine.instance)
    assert Waiter.of(instance("i", workspaceType="arm")).instance == "uid-of-i"


@pytest.mark.parametrize(
    ("waiting", "rules", "access", "user", "held"),
    [
        ([reservation("r", workspaceType="arm")], [], "open", "bob", True),
        ([reservation("r", deployments=["two", "one"])], [], "open", "bob", True),
        ([instance("i", workspaceType="arm")], [], "open", "bob", True),
        ([reservation("r", workspaceType="leg")], [], "open", "bob", False),
        ([reservation("r", deployments=["two"])], [], "open", "bob", False),
        # A user's own reservation does not block the user.
        ([reservation("r", workspaceType="arm")], [], "open", "carol", False),
        # A waiter who may not have the deployment blocks nobody.
        ([reservation("r", workspaceType="arm")], [], "closed", "bob", False),
        ([reservation("r", workspaceType="arm")], [rule("carol", NO)], "open", "bob", False),
        ([reservation("r", workspaceType="arm")], [rule("carol", YES)], "closed", "bob", True),
        ([reservation("r", workspaceType="arm", superuser=True)], [rule("*", NO)], "closed", "bob", True),
    ],
)
def test_a_newcomer_is_kept_from_what_others_wait_for_and_may_have(
    waiting: list[Reservation | Instance], rules: list[AccessRule], access: str, user: str, held: bool
) -> None:
    assert ahead_of(user, in_turn(waiting), kind(access), ONE, rules) is held


names = st.lists(st.sampled_from(["one", "two", "three"]), min_size=1, max_size=3, unique=True)
targets: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.sampled_from([{"workspaceType": "arm"}, {"workspaceType": "leg"}]),
    names.map(lambda found: {"deployments": found}),
)
everyone = st.lists(
    st.builds(
        lambda number, user, target, made, by_kubectl: (instance if by_kubectl else reservation)(
            f"w-{number}", user=user, status={"reason": "Ended"} if made and by_kubectl else {}, **target
        ),
        st.integers(0, 10**6),
        st.sampled_from(["ada", "bob", "carol"]),
        targets,
        st.booleans(),
        st.booleans(),
    ),
    max_size=8,
    unique_by=lambda resource: resource.metadata.name,
)


@given(everyone, st.sampled_from(["ada", "bob"]), st.sets(st.sampled_from(["ada", "bob", "carol"])))
def test_nobody_is_kept_from_anything_by_fewer_waiters_or_more_rules(
    resources: list[Reservation | Instance], user: str, banned: set[str]
) -> None:
    waiting = in_turn(resources)
    rules = [rule(name, NO) for name in sorted(banned)]
    if not ahead_of(user, waiting, kind(), ONE, []):
        assert not ahead_of(user, waiting[1:], kind(), ONE, [])
        assert not ahead_of(user, waiting, kind(), ONE, rules)
    expected = any(
        w.user not in banned | {user}
        and (w.resource.spec.workspace_type == "arm" or "one" in (w.resource.spec.deployments or ()))
        for w in waiting
    )
    assert ahead_of(user, waiting, kind(), ONE, rules) is expected
    assert all(w.resource.metadata.creation_timestamp == CREATED for w in waiting)


def test_under_maintenance_only_owners_and_superusers_are_served_and_the_others_block_nobody() -> None:
    repaired = deployment("one", owners=["carol"], maintenance={"reason": "new gripper"})
    waiting = {
        "bob": reservation("b", workspaceType="arm", user="bob"),
        "carol": reservation("c", workspaceType="arm", user="carol"),
        "root": reservation("r", workspaceType="arm", user="root", superuser=True),
    }
    able = {user for user, one in waiting.items() if Waiter.of(one).may_have(kind(), repaired, [])}
    assert able == {"carol", "root"}
    assert not ahead_of("eve", in_turn([waiting["bob"]]), kind(), repaired, [])
    assert ahead_of("eve", in_turn([waiting["carol"]]), kind(), repaired, [])
