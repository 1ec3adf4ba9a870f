"""The oracle is strong enough to see deliberate mistakes. ``make prove-mutants`` hunts all of them."""

import ast

import pytest

from .mutants import MUTANTS
from .mutating import DoesNotApplyError, Mutant, mutated, source_of
from .playing import simulation

QUICK = ("given back before it is shut", "finalizer dropped early")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_applies_to_the_code_as_it_is(mutant: Mutant) -> None:
    ast.parse(mutated(mutant, source_of(mutant)))


def test_a_mutant_whose_text_is_gone_fails() -> None:
    lost = Mutant("lost", "berth_core.leasing:take", "text that nobody wrote", "")
    with pytest.raises(DoesNotApplyError, match="is not once in"):
        mutated(lost, source_of(lost))


@pytest.mark.parametrize("name", QUICK)
def test_a_mistake_is_found_within_a_few_histories(name: str) -> None:
    number = next(n for n, mutant in enumerate(MUTANTS) if mutant.name == name)
    status, said = simulation("mutants", SEED=1, HISTORIES=20, MUTANTS=number, PROCESSES=1)
    assert status == 0, said
