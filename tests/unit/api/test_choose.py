"""Which deployment a newcomer gets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_api.choose import Refusal, choose
from berth_api.deployment import Deployment

from .samples import CREATED, deployment, held, offline


def names(found: tuple[Deployment, ...]) -> list[str]:
    return [d.name for d in found]


def everyone(_: Deployment) -> bool:
    return True


def test_the_newest_version_goes_first_then_what_was_lent_least() -> None:
    candidates = [
        deployment("old", typeVersion=1, status={"instances": 0}),
        deployment("worn", typeVersion=2, status={"instances": 9}),
        deployment("fresh", typeVersion=2, status={"instances": 1}),
    ]
    assert names(choose(candidates, everyone).free) == ["fresh", "worn", "old"]


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
        ([{"status": offline()}, {"lockout": True}], Refusal.OFFLINE),
        ([{"status": offline()}, {"status": held()}], Refusal.BUSY),
        ([{"lockout": True}, {"status": held()}], Refusal.BUSY),
    ],
)
def test_a_refusal_says_what_stands_in_the_way_of_the_last_that_remained(
    candidates: list[dict[str, Any]], refusal: Refusal
) -> None:
    found = [deployment(f"d{n}", **fields) for n, fields in enumerate(candidates)]
    choice = choose(found, lambda d: "no" not in d.resource.spec.owners)
    assert (choice.free, choice.refusal) == ((), refusal)


fields = st.fixed_dictionaries(
    {"typeVersion": st.integers(0, 3), "status": st.sampled_from([{}, held(), offline(), {"instances": 4}])},
    optional={"lockout": st.booleans(), "dissolved": st.just(CREATED), "owners": st.just(["no"])},
)


@given(st.lists(fields, max_size=8))
def test_what_is_chosen_is_free_and_permitted_and_nothing_free_is_left_out(specs: list[dict[str, Any]]) -> None:
    found = [deployment(f"d{n}", **spec) for n, spec in enumerate(specs)]

    def permitted(d: Deployment) -> bool:
        return "no" not in d.resource.spec.owners

    choice = choose(found, permitted)
    expected = {d.name for d in found if d.is_free and permitted(d)}
    assert set(names(choice.free)) == expected
    ranks = [(-d.resource.spec.type_version, d.resource.status.instances) for d in choice.free]
    assert ranks == sorted(ranks)
