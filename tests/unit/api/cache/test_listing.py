"""Filters, order and pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_api.cache import listing
from berth_api.cache.listing import Row

from ..samples import deployment, held

texts = st.text(max_size=12)


@given(st.lists(st.integers(), max_size=30), st.integers(1, 9))
def test_pages_put_together_are_the_whole_list(items: list[int], size: int) -> None:
    first = listing.paged(items, {"max_per_page": str(size)})
    pages = [listing.paged(items, {"max_per_page": str(size), "page": str(n + 1)}) for n in range(first.count)]
    assert [item for page in pages for item in page.items] == items
    assert all(len(page.items) <= size for page in pages)
    beyond = listing.paged(items, {"max_per_page": str(size), "page": str(first.count + 7)})
    assert beyond == pages[-1]


@given(st.dictionaries(st.sampled_from(["max_per_page", "page", "maxlen", "types", "q", "sort_by"]), texts))
def test_no_query_is_too_odd(query: dict[str, str]) -> None:
    row = Row(deployment("d", region="lab"), "An arm", 0)
    wanted = listing.filters(query, None)
    chosen = [r for r in [row] if listing.passes(r, wanted)]
    chosen.sort(key=listing.placed(listing.order(query.get("sort_by"))))
    assert listing.paged(chosen, query).count >= 1


@given(texts)
def test_numbers_are_plain_digits(text: str) -> None:
    number = listing.natural(text)
    assert number is None or (number >= 0 and text.strip("0123456789") == "")


def test_a_number_of_any_length_is_one() -> None:
    huge = "9" * 30_000
    assert listing.natural("0" * 30_000 + "7") == 7
    assert listing.paged([1, 2, 3], {"max_per_page": "2", "page": huge}).items == [3]
    assert listing.paged([1, 2, 3], {"max_per_page": huge, "page": huge}).items == [1, 2, 3]
    assert listing.filters({"maxlen": huge}, None).longest == listing.GREATEST


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, False), ("", True), ("1", True), ("no", True), ("0", False), ("F", False), ("false", False)],
)
def test_a_flag_is_true_when_present_unless_it_says_no(value: str | None, expected: bool) -> None:
    assert listing.flag({} if value is None else {"info": value}, "info") is expected


@given(st.text(min_size=1, max_size=6), st.text(max_size=6), st.text(max_size=6))
def test_q_finds_every_part_of_a_description_in_any_case(part: str, before: str, after: str) -> None:
    row = Row(deployment("d"), before + part + after, 0)
    assert listing.passes(row, listing.filters({"q": part}, None))
    for changed in (part.lower(), part.upper()):
        if changed.casefold() == part.casefold():
            assert listing.passes(row, listing.filters({"q": changed}, None))


def test_q_does_not_find_what_is_in_no_text_or_spans_two() -> None:
    row = Row(deployment("d", type="arm", region="lab"), "On a roof", 0)
    for text in ("leg", "armlab", "arm lab", "arm\0lab", "labon", "roof."):
        assert not listing.passes(row, listing.filters({"q": text}, None)), text
    for text in ("", "rm", "LAB", "on A"):
        assert listing.passes(row, listing.filters({"q": text}, None)), text


def test_descending_order_turns_the_key_but_not_the_ties() -> None:
    rows = [
        Row(deployment("held", status=held() | {"instances": 5}), "", 1),
        Row(deployment("free", status={"instances": 5}), "", 0),
        Row(deployment("new", status={"instances": 1}), "", 0),
    ]
    for order, names in (("dec_count", ["free", "held", "new"]), ("inc_count", ["new", "free", "held"])):
        assert [r.deployment.name for r in sorted(rows, key=listing.placed(order))] == names


@given(*[st.text("abAB_019", min_size=1, max_size=6)] * 2)
def test_descending_order_of_texts_is_the_ascending_one_turned_round(one: str, other: str) -> None:
    rows = [Row(deployment("d", type=one), "", 0), Row(deployment("d", type=other), "", 0)]
    descending = [r.deployment.type for r in sorted(rows, key=listing.placed("dec_wtype"))]
    assert descending == sorted([one, other], reverse=True)


def test_the_path_counts_only_without_types() -> None:
    assert listing.filters({}, "arm").included == frozenset({"arm"})
    assert listing.filters({"types": "leg"}, "arm").included == frozenset({"leg"})
    assert listing.filters({"types": "!leg"}, "arm") == listing.Filters(excluded=frozenset({"leg"}))
    assert listing.filters({"types": ""}, "arm") == listing.Filters()


def test_types_are_a_union_of_includes_less_all_excludes() -> None:
    rows = {name: Row(deployment(name, type=name), "", 0) for name in ("arm", "leg", "eye")}
    for types, expected in (
        ("arm,leg", {"arm", "leg"}),
        (" arm , ,leg ", {"arm", "leg"}),
        ("!arm", {"leg", "eye"}),
        ("!arm,%21leg", {"eye"}),
        ("arm,leg,!leg", {"arm"}),
        ("arm,!arm", set()),
        ("", {"arm", "leg", "eye"}),
        (",", {"arm", "leg", "eye"}),
    ):
        wanted = listing.filters({"types": types}, "ignored")
        assert {name for name, row in rows.items() if listing.passes(row, wanted)} == expected, types


def test_every_order_is_of_what_its_name_says() -> None:
    rows = [
        Row(deployment("old", type="b", created="2026-01-01T00:00:00Z", status={"instances": 2}), "", 0),
        Row(deployment("mid", type="c", created="2026-01-02T00:00:00Z", status={"instances": 1}), "", 0),
        Row(deployment("new", type="a", created="2026-01-03T00:00:00Z", status={"instances": 3}), "", 0),
    ]
    for sort_by, names in (
        (None, "new old mid"),
        ("nonsense", "new old mid"),
        ("inc_wtype", "new old mid"),
        ("dec_wtype", "mid old new"),
        ("inc_created", "old mid new"),
        ("dec_created", "new mid old"),
        ("inc_count", "mid old new"),
        ("dec_count", "new old mid"),
    ):
        placed = sorted(rows, key=listing.placed(listing.order(sort_by)))
        assert [row.deployment.name for row in placed] == names.split(), sort_by


def test_ties_go_to_what_can_be_had_then_to_the_shorter_queue_then_by_id() -> None:
    free = [Row(deployment(name), "", length) for name, length in (("a", 2), ("b", 1), ("c", 1))]
    rows = [Row(deployment("held", status=held()), "", 1), *free]
    by_id = sorted(["b", "c"], key=lambda name: deployment(name).id)
    for order in listing.ORDERS:
        placed = sorted(rows, key=listing.placed(order))
        assert [row.deployment.name for row in placed] == [*by_id, "a", "held"], order


@pytest.mark.parametrize(
    ("maxlen", "listed"), [("u", 2), ("0", 1), ("1", 2), ("-1", 2), ("", 2), ("1.0", 2), ("\u0660", 2)]
)
def test_maxlen_bounds_the_queue_where_it_is_a_number(maxlen: str, listed: int) -> None:
    rows = [Row(deployment("a"), "", 0), Row(deployment("b"), "", 1)]
    assert sum(listing.passes(row, listing.filters({"maxlen": maxlen}, None)) for row in rows) == listed
