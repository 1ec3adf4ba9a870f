"""The right to instantiate: one decision over superuser, rules, owner, and the type's default."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_api.access_rules.service import SMALL_ID, next_rule_id
from berth_api.auth import access
from berth_api.auth.identity import Identity
from berth_api.http.errors import BadRequestError, MissingError, NotPermittedError
from berth_core.resources import AccessRule, WorkspaceType

from ..samples import deployment, reservation

YES, NO = "CAP_INSTANTIATE", "CAP_NO_INSTANTIATE"
MINE = deployment("mine", owners=["alice"])
OTHER = deployment("other", owners=["carol"])


def caller(user: str = "alice", **fields: Any) -> Identity:
    return Identity(user=user, digest="d", expires=0.0, **fields)


def kind(word: str) -> WorkspaceType:
    spec = {"typeName": "arm", "access": word, "template": {"image": "x"}}
    return WorkspaceType.parse({"metadata": {"name": "arm"}, "spec": spec})


def rule(user: str, capability: str) -> AccessRule:
    spec = {"deployment": "other", "user": user, "capability": capability, "ruleID": 1}
    return AccessRule.parse({"metadata": {"name": "rule-1", "namespace": "lab"}, "spec": spec})


@pytest.mark.parametrize(
    ("given_rules", "owner", "default", "may"),
    [
        ([], False, "open", True),
        ([], False, "closed", False),
        ([], True, "closed", True),
        ([("*", YES)], False, "closed", True),
        ([("*", NO)], False, "open", False),
        ([("*", NO)], True, "open", True),
        ([("*", YES), ("*", NO)], False, "open", False),
        ([("alice", YES)], False, "closed", True),
        ([("alice", NO)], False, "open", False),
        ([("alice", NO)], True, "open", False),
        ([("alice", YES), ("*", NO)], False, "closed", True),
        ([("alice", NO), ("*", YES)], False, "open", False),
        ([("alice", YES), ("alice", NO)], True, "open", False),
        ([("bob", NO)], False, "open", True),
        ([("bob", YES)], False, "closed", False),
    ],
)
def test_the_most_specific_rule_decides_and_of_equals_the_one_that_forbids(
    given_rules: list[tuple[str, str]], owner: bool, default: str, may: bool
) -> None:
    rules = [rule(*fields) for fields in given_rules]
    assert access.may_instantiate(caller(), kind(default), MINE if owner else OTHER, rules) is may


some_rules = st.lists(
    st.tuples(st.sampled_from(["alice", "bob", "*"]), st.sampled_from([YES, NO])).map(lambda fields: rule(*fields)),
    max_size=6,
)
words = st.sampled_from(["open", "closed"])
places = st.sampled_from([MINE, OTHER])


@given(some_rules, words, places, st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_nor_rules_for_others_change_the_decision(
    rules: list[AccessRule], word: str, place: Any, random: Any
) -> None:
    decision = access.may_instantiate(caller(), kind(word), place, rules)
    again = [*rules, *rules]
    random.shuffle(again)
    assert access.may_instantiate(caller(), kind(word), place, again) is decision
    without_bob = [r for r in rules if r.spec.user != "bob"]
    assert access.may_instantiate(caller(), kind(word), place, without_bob) is decision


@given(some_rules, words, places)
def test_superusers_may_always(rules: list[AccessRule], word: str, place: Any) -> None:
    assert access.may_instantiate(caller(superuser=True), kind(word), place, rules)


@given(some_rules, words, places)
def test_one_more_rule_that_forbids_never_lets_anyone_in(rules: list[AccessRule], word: str, place: Any) -> None:
    for user in ("alice", "*"):
        if access.may_instantiate(caller(), kind(word), place, [*rules, rule(user, NO)]):
            assert access.may_instantiate(caller(), kind(word), place, rules)


def test_owners_and_superusers_change_rules_and_nobody_else() -> None:
    access.need_owner(caller("alice"), MINE)
    access.need_owner(caller("root", superuser=True), MINE)
    with pytest.raises(NotPermittedError, match="only owners"):
        access.need_owner(caller("alice"), OTHER)


def test_a_token_with_scopes_keeps_machines_by_the_scope_own_only() -> None:
    access.need_machines(caller(), "arm")
    access.need_machines(caller(read_only=True, types=frozenset({"arm"})), "arm")
    for identity in (caller(may_own=False), caller(types=frozenset({"leg"})), caller(instance="i")):
        with pytest.raises(BadRequestError):
            access.need_machines(identity, "arm")
    access.need_keeping(caller(read_only=True, may_own=True))
    access.need_keeping(caller(read_only=False, may_own=False))
    with pytest.raises(BadRequestError, match="does not permit change"):
        access.need_keeping(caller(read_only=True, may_own=False))


def test_rules_concern_whom_they_name_and_everybody() -> None:
    assert [access.concerns(caller(), rule(user, NO)) for user in ("alice", "bob", "*")] == [True, False, True]


def test_anothers_reservation_is_like_none() -> None:
    access.need_own_reservation(caller("carol"), reservation("r", workspaceType="arm"))
    access.need_own_reservation(caller("root", superuser=True), reservation("r", workspaceType="arm"))
    with pytest.raises(MissingError, match="reservation not found"):
        access.need_own_reservation(caller("alice"), reservation("r", workspaceType="arm"))


@given(st.sets(st.integers(1, 2**31 - 1), max_size=50) | st.sets(st.integers(1, 60)))
def test_a_rules_number_is_new_and_fits_16_bits(taken: set[int]) -> None:
    number = next_rule_id(taken)
    assert number not in taken
    assert 1 <= number <= SMALL_ID
    if max(taken, default=0) < SMALL_ID:
        assert number > max(taken, default=0)
