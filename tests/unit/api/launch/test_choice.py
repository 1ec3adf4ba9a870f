"""Which deployment a newcomer gets."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_api.cache.deployment import Deployment
from berth_api.launch.choice import Choice, Refusal

from ..samples import CREATED, deployment, held, offline

REPAIR = {"reason": "new gripper"}


def choose(
    candidates: Sequence[Deployment], permitted: Callable[[Deployment], bool], length: Callable[[Deployment], int]
) -> Choice:
    return Choice(candidates, lambda d: d.is_dissolved, permitted, length)


def names(found: tuple[Deployment, ...]) -> list[str]:
    return [d.name for d in found]


def everyone(_: Deployment) -> bool:
    return True


def no_queue(_: Deployment) -> int:
    return 0


def test_the_newest_version_goes_first_then_what_was_lent_least() -> None:
    candidates = [
        deployment("old", typeVersion=1, status={"instances": 0}),
        deployment("worn", typeVersion=2, status={"instances": 9}),
        deployment("fresh", typeVersion=2, status={"instances": 1}),
    ]
    assert names(choose(candidates, everyone, no_queue).free) == ["fresh", "worn", "old"]


@pytest.mark.parametrize(
    ("candidates", "refusal"),
    [
        ([], Refusal.UNKNOWN),
        ([{"dissolved": CREATED}], Refusal.DISSOLVED),
        ([{"owners": ["no"]}], Refusal.FORBIDDEN),
        ([{"owners": ["no"], "dissolved": CREATED}, {"owners": ["no"]}], Refusal.FORBIDDEN),
        ([{"lockout": True}], Refusal.LOCKED_OUT),
        ([{"lockout": True, "status": held()}], Refusal.LOCKED_OUT),
        ([{"status": offline()}], Refusal.OFFLINE),
        ([{"maintenance": REPAIR}], Refusal.MAINTENANCE),
        ([{"maintenance": REPAIR, "status": offline()}], Refusal.MAINTENANCE),
        ([{"maintenance": REPAIR, "status": held()}], Refusal.MAINTENANCE),
        ([{"maintenance": REPAIR}, {"status": held()}], Refusal.BUSY),
        ([{"status": offline() | held()}], Refusal.OFFLINE),
        ([{"status": offline() | held()}, {"status": held()}], Refusal.BUSY),
        ([{"owners": ["no"]}, {"lockout": True}], Refusal.LOCKED_OUT),
        ([{"status": offline()}, {"status": held()}], Refusal.BUSY),
        ([{"lockout": True}, {"status": held()}], Refusal.BUSY),
    ],
)
def test_a_refusal_says_what_stands_in_the_way_of_those_that_the_caller_may_use(
    candidates: list[dict[str, Any]], refusal: Refusal
) -> None:
    found = [deployment(f"d{n}", **fields) for n, fields in enumerate(candidates)]
    choice = choose(found, lambda d: "no" not in d.resource.spec.owners, no_queue)
    assert (choice.free, choice.refusal) == ((), refusal)


def test_where_none_is_free_the_shortest_queue_decides_what_the_answer_says() -> None:
    found = [deployment("silent", status=offline()), deployment("locked", lockout=True)]
    lengths = {"silent": 2, "locked": 1}
    assert choose(found, everyone, lambda d: lengths[d.name]).refusal is Refusal.LOCKED_OUT
    lengths["locked"] = 3
    assert choose(found, everyone, lambda d: lengths[d.name]).refusal is Refusal.OFFLINE
    # The queue of one that is only in use moves, however long it is.
    busy = deployment("busy", status=held())
    choice = choose([*found, busy], everyone, lambda d: lengths.get(d.name, 99))
    assert choice.refusal is Refusal.BUSY
    assert names(choice.usable) == ["busy", "silent", "locked"]


def test_those_to_wait_for_come_with_the_shortest_queue_first_and_without_what_is_forbidden() -> None:
    found = [deployment(name, status=held()) for name in ("long", "short", "forbidden")]
    choice = choose(found, lambda d: d.name != "forbidden", lambda d: len(d.name) - len("short"))
    assert names(choice.usable) == ["long", "short"]
    choice = choose(found, lambda d: d.name != "forbidden", lambda d: 5 if d.name == "long" else 2)
    assert names(choice.usable) == ["short", "long"]


fields = st.fixed_dictionaries(
    {"typeVersion": st.integers(0, 3), "status": st.sampled_from([{}, held(), offline(), {"instances": 4}])},
    optional={"lockout": st.booleans(), "dissolved": st.just(CREATED), "owners": st.just(["no"])},
)


@given(st.lists(fields, max_size=8))
def test_what_is_chosen_is_free_and_permitted_and_the_first_of_all_says_why_none_is(
    specs: list[dict[str, Any]],
) -> None:
    found = [deployment(f"d{n}", **spec) for n, spec in enumerate(specs)]

    def permitted(d: Deployment) -> bool:
        return "no" not in d.resource.spec.owners

    choice = choose(found, permitted, no_queue)
    expected = {d.name for d in found if d.is_free and permitted(d)}
    assert set(names(choice.free)) == expected
    assert set(names(choice.usable)) == {d.name for d in found if permitted(d) and not d.is_dissolved}
    ranks = [(-d.resource.spec.type_version, d.resource.status.instances) for d in choice.free]
    assert ranks == sorted(ranks)
    if choice.usable:
        first = choice.usable[0]
        obstacle = Refusal.LOCKED_OUT if first.resource.spec.lockout else None if first.is_online else Refusal.OFFLINE
        assert choice.refusal is (obstacle or Refusal.BUSY)


def test_under_maintenance_owners_have_a_choice_and_others_none() -> None:
    candidates = [deployment("repaired", maintenance=REPAIR), deployment("away", maintenance=REPAIR, status=offline())]
    choice = Choice(candidates, lambda d: d.is_dissolved, everyone, no_queue, owned=everyone)
    assert names(choice.free) == ["repaired"]
    assert names(choose(candidates, everyone, no_queue).free) == []
    assert (
        Choice([candidates[1]], lambda d: d.is_dissolved, everyone, no_queue, owned=everyone).refusal is Refusal.OFFLINE
    )
