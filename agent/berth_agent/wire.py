"""HTTP/1.1 as far as the operator speaks it: heads with limits, bodies with a length. Pure."""

import json
from typing import Final, NamedTuple

MAX_HEAD: Final = 8 * 1024
MAX_BODY: Final = 1024 * 1024
END_OF_HEAD: Final = b"\r\n\r\n"

_REASONS: Final = {
    200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
    411: "Length Required", 413: "Content Too Large", 422: "Unprocessable Content",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip


class HTTPError(Exception):
    """An answer other than 200; ``fields`` is its JSON body."""

    def __init__(self, status: int, fields: dict[str, object] | str) -> None:
        super().__init__(status)
        self.status = status
        self.fields: dict[str, object] = {"error": fields} if isinstance(fields, str) else fields


class Request(NamedTuple):
    """The head of a request. ``query`` has the last value of each name, undecoded."""

    method: str
    path: str
    query: dict[str, str]
    length: int
    """Bytes of body that follow."""
    keep: bool
    """Whether the connection stays open after the answer."""
    expects: bool
    """Whether the client waits for ``100 Continue`` before it sends the body."""


def parse_head(head: bytes) -> Request:
    """Read a request line and its headers (without the empty line). HTTPError 400, 411 or 413."""
    line, *rest = head.decode("latin-1").split("\r\n")
    if any(one in text for text in (line, *rest) for one in "\r\n\0"):
        raise HTTPError(400, "line ends are CRLF, and there is no NUL")  # others may find a header behind it
    try:
        method, target, version = line.split(" ")
    except ValueError as exc:
        raise HTTPError(400, "malformed request line") from exc
    if version != "HTTP/1.1" or not target.startswith("/"):
        raise HTTPError(400, "only HTTP/1.1 with an origin-form target is spoken here")
    headers = _headers(rest)
    path, _, query = target.partition("?")
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return Request(
        method=method,
        path=path,
        query={name: value for name, _, value in pairs},
        length=_length(headers, method),
        keep=headers.get("connection", "").lower() != "close",
        expects=headers.get("expect", "").lower() == "100-continue",
    )


def render(status: int, fields: dict[str, object], *, keep: bool) -> bytes:
    """Return the answer as bytes, with a JSON body."""
    body = json.dumps(fields).encode()
    head = (
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    )
    return head.encode() + body


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise HTTPError(400, "malformed header")
        if name.lower() in headers and name.lower() == "content-length":
            raise HTTPError(400, "several Content-Length headers")
        headers[name.lower()] = value.strip()
    return headers


def _length(headers: dict[str, str], method: str) -> int:
    if "transfer-encoding" in headers:
        raise HTTPError(411, "send the body with a Content-Length")
    text = headers.get("content-length")
    if text is None:
        if method == "PUT":
            raise HTTPError(411, "send the body with a Content-Length")
        return 0
    if not (text.isascii() and text.isdigit()):
        raise HTTPError(400, "malformed Content-Length")
    if len(text) > 10 or int(text) > MAX_BODY:
        raise HTTPError(413, f"the body may have at most {MAX_BODY} bytes")
    return int(text)
