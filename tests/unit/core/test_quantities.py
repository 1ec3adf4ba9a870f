"""Amounts of resources are compared as Kubernetes does."""

import pytest

from berth_core.quantities import larger, parse


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", 1), ("1000m", "1"), ("1Ki", 1024), ("1k", "1e3"), ("1.5Gi", "1536Mi"), (".5", "500m"), ("5.", 5),
        ("1E", "1e18"), ("1000000u", "1"), ("1n", "0.000000001"), ("+2", "2"), ("1E3", "1000"),
    ],
)  # fmt: skip
def test_two_spellings_of_one_amount_are_equal(one: str, other: str | int) -> None:
    assert parse(one) == parse(other)


@pytest.mark.parametrize("text", ["", "Gi", ".", "1 Gi", "1gi", "0x10", "1e9999", "1KiB", "\uff11"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        parse(text)


@pytest.mark.parametrize(
    ("amount", "other", "wanted"),
    [("1Gi", "4Gi", "4Gi"), ("5Gi", "4Gi", "5Gi"), ("5G", "4Gi", "5G"), ("4G", "4Gi", "4Gi"), ("many", "4Gi", "many")],
)
def test_the_larger_amount_is_kept(amount: str, other: str, wanted: str) -> None:
    assert larger(amount, other) == wanted
