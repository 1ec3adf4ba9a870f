"""The oracle is strong enough to see deliberate mistakes. ``make prove-mutants`` hunts all of them."""

import ast

import pytest

from .code_names import NoSuchCodeError
from .mutants import MUTANTS
from .mutating import DoesNotApplyError, Mutant, mutated
from .page import BEGIN, END, PAGE, Hunt, rows
from .playing import simulation

QUICK = ("given back before it is shut", "finalizer dropped early")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_applies_to_the_code_as_it_is(mutant: Mutant) -> None:
    ast.parse(mutated(mutant))


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("berth_core.leases.leasing.take", DoesNotApplyError),
        ("berth_core.leases.leasing.no_such_function", NoSuchCodeError),
        ("berth_core.no_such_module.take", NoSuchCodeError),
    ],
)
def test_a_mutant_whose_code_is_gone_fails(where: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        mutated(Mutant("lost", where, "text that nobody wrote", "", "core"))


def test_each_mutant_changes_something_and_has_a_name_of_its_own() -> None:
    assert all(mutant.before != mutant.after for mutant in MUTANTS)
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_each_row_of_the_page_names_a_mutant_as_it_is() -> None:
    told = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert list(rows()) == [f" {mutant.name} | `{mutant.where}` | {mutant.which} " for mutant in MUTANTS]
    found = sum("| not in " not in row for row in rows().values())
    assert told.strip().startswith(f"{found} of {len(MUTANTS)} mutants are found")


def test_a_row_says_how_many_histories_it_took() -> None:
    hunt = Hunt(MUTANTS[0], played=7, found=True, what="I1: broken")
    assert hunt.row.endswith("| 7 | I1: broken |\n")
    assert Hunt(MUTANTS[0], played=7).row.endswith("| not in 7 |  |\n")


@pytest.mark.parametrize("name", QUICK)
def test_a_mistake_is_found_within_a_few_histories(name: str) -> None:
    number = next(n for n, mutant in enumerate(MUTANTS) if mutant.name == name)
    status, said = simulation("mutants", SEED=1, HISTORIES=20, MUTANTS=number, JOBS=1)
    assert status == 0, said
