"""The specification itself: its small cases, exhaustively. `make spec` explores all of them."""

from collections.abc import Callable

import pytest


@pytest.mark.timeout(120)
def test_every_small_case_holds_or_breaks_as_it_must(checker: Callable[..., str]) -> None:
    table = checker("check", "small").splitlines()

    assert all(line.endswith("as it must be") for line in table)
    assert sum("breaks: " in line for line in table) >= 8
    assert sum("the end can always be reached" in line for line in table) >= 4
