"""Heads of HTTP/1.1 (RFC 9112) with limits: requests that begin a link or ask for a certificate, and answers. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MOST_HEAD: Final = 16 * 1024
MOST_BODY: Final = 32 * 1024
_REASONS: Final = {
    101: "Switching Protocols", 200: "OK", 202: "Accepted", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 409: "Conflict", 411: "Length Required", 413: "Content Too Large", 426: "Upgrade Required",
    429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable",
}  # fmt: skip


class HeadError(ValueError):
    """A head that is malformed or too long; ``status`` answers a request with it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Request:
    """Head of a request; names of headers have small letters."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def length(self) -> int:
        """Bytes of body that follow. Raises HeadError."""
        text = self.headers.get("content-length", "0")
        if "transfer-encoding" in self.headers:
            raise HeadError(411, "send the body with a Content-Length")
        if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) > MOST_BODY:
            raise HeadError(413, f"the body may have at most {MOST_BODY} bytes")
        return int(text)


@dataclass(frozen=True)
class Answer:
    """Head of an answer; names of headers have small letters."""

    status: int
    headers: Mapping[str, str]


def parse_request(head: bytes) -> Request:
    """Read a head without its empty line. Raises HeadError."""
    line, *rest = _lines(head)
    words = line.split(" ")
    if len(words) != 3 or words[2] != "HTTP/1.1" or not words[0].isalpha() or not words[1]:
        raise HeadError(400, "only HTTP/1.1 is spoken here")
    return Request(words[0], words[1], _headers(rest))


def parse_answer(head: bytes) -> Answer:
    """Read a head without its empty line. Raises HeadError."""
    line, *rest = _lines(head)
    version, _, status = line.partition(" ")
    if version != "HTTP/1.1" or not (status[:3].isascii() and status[:3].isdigit()):
        raise HeadError(502, "the answer is no HTTP/1.1")
    return Answer(int(status[:3]), _headers(rest))


def request(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """Return a request without a body."""
    return _render(f"{method} {target} HTTP/1.1", headers)


def answer(status: int, headers: Mapping[str, str]) -> bytes:
    """Return the head of an answer."""
    return _render(f"HTTP/1.1 {status} {_REASONS.get(status, 'Other')}", headers)


def answer_json(status: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None) -> bytes:
    """Return an answer that ends the connection, with a JSON body."""
    content = json.dumps(body).encode()
    fields = {"Content-Type": "application/json", "Content-Length": str(len(content)), "Connection": "close"}
    return answer(status, {**fields, **(headers or {})}) + content


def _lines(head: bytes) -> list[str]:
    if len(head) > MOST_HEAD:
        raise HeadError(413, f"a head may have at most {MOST_HEAD} bytes")
    lines = head.decode("latin-1").split("\r\n")
    if any(one in line for line in lines for one in "\r\n\0"):
        raise HeadError(400, "line ends are CRLF, and there is no NUL")
    return lines


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise HeadError(400, "malformed header")
        if name.lower() in headers:
            raise HeadError(400, f"the header {name} came twice")
        headers[name.lower()] = value.strip()
    return headers


def _render(line: str, headers: Mapping[str, str]) -> bytes:
    fields = [f"{name}: {value}" for name, value in headers.items()]
    if any(one in field for field in (line, *fields) for one in "\r\n\0"):
        raise HeadError(500, "a header has a line end in it")
    return "\r\n".join([line, *fields, "", ""]).encode("latin-1", "replace")
