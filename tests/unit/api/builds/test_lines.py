"""Lines of logs, and the event stream that they become."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from berth_api.builds.lines import LONGEST_LINE, Splitter, line_event, named_event


@given(st.binary(max_size=200).map(lambda data: data.replace(b"x", b"\n")), st.lists(st.integers(0, 200)))
def test_lines_are_the_same_however_the_stream_is_cut(data: bytes, cuts: list[int]) -> None:
    splitter = Splitter()
    borders = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    found = [line for start, end in pairwise(borders) for line in splitter.feed(data[start:end])]
    found += splitter.rest()
    expected = data.split(b"\n")
    assert found == (expected[:-1] if expected[-1] == b"" else expected)
    assert splitter.rest() == []


def test_a_line_that_never_ends_is_cut() -> None:
    for size in (LONGEST_LINE, LONGEST_LINE + 1, 3 * LONGEST_LINE + 7):
        at_once, slowly = Splitter(), Splitter()
        line = b"a" * size
        whole = at_once.feed(line + b"\n")
        found = [piece for at in range(0, size, 1000) for piece in slowly.feed(line[at : at + 1000])]
        assert found + slowly.feed(b"\n") == whole
        assert b"".join(whole) == line
        assert max(map(len, whole)) <= LONGEST_LINE


def test_an_event_is_one_whatever_a_line_holds() -> None:
    assert line_event(7, b"hello") == b"id: 7\ndata: hello\n\n"
    assert line_event(8, b"") == b"id: 8\ndata: \n\n"
    assert line_event(9, b"done\r") == b"id: 9\ndata: done\n\n"
    assert line_event(10, b"1%\r2%\r") == b"id: 10\ndata: 1%\ndata: 2%\n\n"
    assert line_event(11, b"event: end") == b"id: 11\ndata: event: end\n\n"
    assert line_event(12, b"\xff\xc3\xa4") == "id: 12\ndata: \ufffd\u00e4\n\n".encode()
    assert named_event("end", "passed") == b"event: end\ndata: passed\n\n"
