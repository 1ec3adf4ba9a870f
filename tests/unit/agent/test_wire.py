import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_agent import wire
from berth_agent.wire import HTTPError, Request


def test_a_request_is_read() -> None:
    head = b"PUT /v1/state?a=1&b=&a=2 HTTP/1.1\r\nHost: agent\r\nContent-Length: 12\r\nConnection: close"
    assert wire.parse_head(head) == Request("PUT", "/v1/state", {"a": "2", "b": ""}, 12, keep=False, expects=False)


def test_header_names_are_of_either_case() -> None:
    request = wire.parse_head(b"GET / HTTP/1.1\r\nCONNECTION: Close\r\nexpect: 100-Continue")
    assert (request.keep, request.expects) == (False, True)


@given(st.binary(max_size=300))
def test_any_head_is_a_request_or_a_refusal(head: bytes) -> None:
    try:
        request = wire.parse_head(head)
    except HTTPError as exc:
        outcome = exc.status
    else:
        outcome = 200 if 0 <= request.length <= wire.MAX_BODY else 500
    assert outcome in {200, 400, 411, 413}


@pytest.mark.parametrize("length", [b"+1", b"1.0", b"0x1", b"", b"\xb2", b"1 2"])
def test_a_length_is_digits_only(length: bytes) -> None:
    with pytest.raises(HTTPError) as refused:
        wire.parse_head(b"PUT / HTTP/1.1\r\nContent-Length: " + length)
    assert refused.value.status == 400


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\r\n", b"\0"])
def test_a_line_ends_with_crlf_only(end: bytes) -> None:
    with pytest.raises(HTTPError) as refused:
        wire.parse_head(b"GET / HTTP/1.1\r\nHost: agent" + end + b"Content-Length: 9")
    assert refused.value.status == 400


def test_an_answer_has_its_length_and_says_whether_the_connection_stays() -> None:
    head, _, body = wire.render(409, {"epoch": 3}, keep=True).partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"HTTP/1.1 409 Conflict"
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"Connection: keep-alive" in head
    assert json.loads(body) == {"epoch": 3}
    assert b"Connection: close" in wire.render(200, {}, keep=False)
