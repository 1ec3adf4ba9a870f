"""Heads of requests and answers."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_tunnel import heads
from berth_tunnel.heads import HeadError

NAMES = st.from_regex(r"[A-Za-z][A-Za-z-]{0,20}", fullmatch=True)
VALUES = st.from_regex(r"[!-~]([ -~]{0,40}[!-~])?", fullmatch=True)


@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_what_is_written_is_read_again(headers: dict[str, str]) -> None:
    unique = {name.lower(): value for name, value in headers.items()}
    head = heads.request("GET", "/v1/link", unique).removesuffix(b"\r\n\r\n")
    assert heads.parse_request(head) == heads.Request("GET", "/v1/link", unique)
    head = heads.answer(101, unique).removesuffix(b"\r\n\r\n")
    assert heads.parse_answer(head) == heads.Answer(101, unique)


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_head_or_an_error_of_its_own(head: bytes) -> None:
    for parse in (heads.parse_request, heads.parse_answer):
        with suppress(HeadError):
            parse(head)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.0",
        b"GET  / HTTP/1.1",
        b"G3T / HTTP/1.1",
        b"GET / HTTP/1.1\r\nA: 1\nB: 2",
        b"GET / HTTP/1.1\r\nA : 1",
        b"GET / HTTP/1.1\r\nA: 1\r\na: 2",
        b"GET / HTTP/1.1\r\n folded",
        b"x" * (heads.MOST_HEAD + 1),
    ],
)
def test_ambiguous_heads_are_refused(head: bytes) -> None:
    with pytest.raises(HeadError):
        heads.parse_request(head)


@pytest.mark.parametrize("length", ["-1", "1e3", "", "9999999999", str(heads.MOST_BODY + 1)])
def test_bodies_are_bounded(length: str) -> None:
    with pytest.raises(HeadError):
        assert heads.Request("POST", "/", {"content-length": length}).length
    with pytest.raises(HeadError):
        assert heads.Request("POST", "/", {"transfer-encoding": "chunked"}).length


def test_a_header_with_a_line_end_is_never_written() -> None:
    with pytest.raises(HeadError):
        heads.answer(200, {"Berth-Message": "x\r\nSet-Cookie: y"})
