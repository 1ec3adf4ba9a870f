"""docs/explanation/threats.md names tests that are there, and each leaf of its trees a row of its table."""

import re
from pathlib import Path

import pytest

from berth_dev.checks import twins

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/threats.md").read_text()
ROWS = {row.split("|")[1].strip(): row for row in PAGE.splitlines() if re.match(r"\| T\d+ \|", row)}
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
LEFT = {mark.file + "::" * bool(mark.test) + mark.test for mark in twins.marks()}
"""Tests and files that only `make test-all` runs."""
LEAVES = PAGE.partition("## Attack trees")[2].partition("## Defences")[0]


def is_there(path: str, name: str) -> bool:
    """Whether a file has a test of that name."""
    file = ROOT / path
    return file.is_file() and re.search(rf"^(async )?def {name}\(", file.read_text(), re.MULTILINE) is not None


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_the_tests_of_a_row_exist(row: str) -> None:
    named = NAMED.findall(row)
    assert named, "a row without a test holds nothing"
    assert [f"{path}::{name}" for path, name in named if not is_there(path, name)] == []


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_test_of_each_row_is_in_the_gate(row: str) -> None:
    assert [path for path, name in NAMED.findall(row) if path not in LEFT and f"{path}::{name}" not in LEFT]


def test_a_test_that_is_gone_is_missed() -> None:
    assert not is_there("tests/unit/test_threats.py", "test_that_was_never_there")
    assert not is_there("tests/unit/test_gone.py", "test_a_test_that_is_gone_is_missed")
    assert is_there("tests/unit/test_threats.py", "test_a_test_that_is_gone_is_missed")


def test_rows_have_numbers_in_order_and_every_leaf_has_one() -> None:
    assert list(ROWS) == [f"T{number}" for number in range(1, len(ROWS) + 1)]
    leaves = re.findall(r"T\d+", LEAVES)
    assert len(leaves) > 20
    assert set(leaves) <= set(ROWS)
    for part in re.split(r" · |\n- ", LEAVES):
        if part.strip() and not part.lstrip().startswith(("Each leaf", "**")):
            assert re.search(r"T\d+", part), f"a leaf without a row: {part}"
