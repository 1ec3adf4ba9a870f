"""The HTTP API from the outside: JSON in and out, refusals as CliErrors that name the next step.

It uses the standard library's client, for the start-up time, which respects HTTPS_PROXY and NO_PROXY. Redirects are
refused: the token goes only to the named address. Over plain HTTP the token goes to this machine only, and through no
proxy, unless its context says `insecure`.
"""

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from http.client import HTTPException, HTTPResponse
from ipaddress import ip_address
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import BaseHandler, HTTPRedirectHandler, HTTPSHandler, ProxyHandler, Request, build_opener

from berth_cli.ui.errors import BUSY, FAILED, FORBIDDEN, NOT_FOUND, UNREACHABLE, USAGE, CliError
from berth_cli.user.contexts import Place

ACCEPT: Final = "application/vnd.rerobots.v1+json"
ANSWER_SECONDS: Final = 30.0
SILENT_SECONDS: Final = 60.0
"""A stream sends something at least every 15 s."""
WRONG_TOKEN: Final = frozenset({"wrong authorization token", "authentication failed"})
HINTS: Final = {
    "instance not found": "`berth list` shows yours",
    "instance not active": "`berth info` says what became of it",
    "reservation not found": "`berth reservations` shows yours",
    "project not found": "`berth ci projects` shows yours",
    "build not found": "`berth ci list` shows them",
    "no workspace deployment found with given ID": "`berth search` shows what there is",
    "no workspace type found with given name": "`berth types` shows what there is",
}
"""Next steps for people, by the API's messages."""
_FAULTS: Final = (OSError, HTTPException)


class Refused(CliError):  # noqa: N818 (a refusal is an answer)
    """The API refused, or did not answer (``status`` 0). ``said`` is its own text, ``retry_after`` in seconds."""

    def __init__(self, message: str, code: int, status: int, said: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, code)
        self.status = status
        self.said = said
        self.retry_after = retry_after


class Api:
    """One API, with or without a token."""

    def __init__(self, place: Place, seconds: float = ANSWER_SECONDS) -> None:
        parts = urlsplit(place.api)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise CliError(f"{place.api!r} ({place.source}) is no address of an API: write https://…", USAGE)
        # Programs differ in which part of such an address they take for the host.
        if "@" in parts.netloc or "\\" in place.api:
            raise CliError(f"the address of the API ({place.source}) has a user or a backslash: leave them out", USAGE)
        if place.token and _is_plain(place) and not (place.insecure or _is_here(place)):
            raise CliError(
                f"the token would go to {place.api} in the clear ({place.source}): write https://…, or make a context"
                " that says `insecure = true` where everybody on the way may have it (`berth config add --insecure`)",
                USAGE,
            )
        self.place = place
        self._seconds = seconds
        self._opener = build_opener(_NoRedirects, *_trust(place))

    def get(self, path: str, **query: str | int | None) -> Any:
        """Send a GET; the caller escapes words of people in ``path`` (``session.escaped``)."""
        parameters = {name: value for name, value in query.items() if value is not None}
        return self._json("GET", f"{path}?{urlencode(parameters)}" if parameters else path)

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None) -> Any:
        """Send a POST; with an Idempotency-Key an unanswered request is sent once more."""
        try:
            return self._json("POST", path, body or {}, key)
        except Refused as error:
            if key is None or error.status != 0:
                raise
            return self._json("POST", path, body or {}, key)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send a PATCH."""
        return self._json("PATCH", path, body)

    def delete(self, path: str) -> Any:
        """Send a DELETE."""
        return self._json("DELETE", path)

    def read(self, path: str) -> bytes:
        """Send a GET whose answer is no JSON."""
        with self._answered(self._request("GET", path, None, {"Accept": "*/*"}), self._seconds) as response:
            return response.read()

    def lines(self, path: str, headers: Mapping[str, str]) -> Iterator[bytes]:
        """Yield the lines of a stream as they come, without their ends. Raises Refused where it breaks off."""
        with self._answered(self._request("GET", path, None, dict(headers)), SILENT_SECONDS) as response:
            while line := response.readline():
                yield line.rstrip(b"\r\n")

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None = None, key: str | None = None) -> Any:
        headers = {"Accept": ACCEPT} | ({"Idempotency-Key": key} if key else {})
        data = None if body is None else json.dumps(body).encode()
        with self._answered(self._request(method, path, data, headers), self._seconds) as response:
            answer = response.read()
        try:
            return json.loads(answer) if answer else None
        except ValueError as error:
            raise Refused(
                f"{self.place.api} answered what is no JSON: is it the address of Berth's API? ({self.place.source})",
                UNREACHABLE,
                200,
            ) from error

    def _request(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> Request:
        headers = {"User-Agent": "berth-cli"} | headers
        if self.place.token:
            headers["Authorization"] = f"Bearer {self.place.token}"
        if data is not None:
            headers["Content-Type"] = "application/json"
        return Request(self.place.api + path, data, headers, method=method)  # noqa: S310 (its scheme was looked at)

    @contextmanager
    def _answered(self, request: Request, seconds: float) -> Iterator[HTTPResponse]:
        """Send a request; a failure until its answer is read raises Refused."""
        try:
            with self._opener.open(request, timeout=seconds) as response:
                yield response
        except HTTPError as error:
            with error:
                raise refusal(error.code, error.headers, error.read(65536), self.place) from error
        except _FAULTS as error:
            why = error.reason if isinstance(error, URLError) else error
            raise Refused(
                f"no answer from {self.place.api} ({self.place.source}): {why or type(error).__name__}:"
                " check the address, and that you reach it",
                UNREACHABLE,
                0,
            ) from error


def _is_plain(place: Place) -> bool:
    return urlsplit(place.api).scheme == "http"


def _is_here(place: Place) -> bool:
    """Whether an API is on this machine. Pure."""
    host = urlsplit(place.api).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _trust(place: Place) -> list[BaseHandler]:
    """Load the trusted authorities, only for TLS, since it takes some milliseconds."""
    if _is_plain(place):
        return [ProxyHandler({})] if _is_here(place) else []
    try:
        return [HTTPSHandler(context=ssl.create_default_context(cafile=place.ca_file and str(place.ca_file)))]
    except (OSError, ssl.SSLError) as error:
        raise CliError(f"the certificates in {place.ca_file} cannot be read: {error}", USAGE) from error


class _NoRedirects(HTTPRedirectHandler):
    """Makes a redirect an answer like any other refusal."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


def refusal(status: int, headers: Message | Mapping[str, str], body: bytes, place: Place) -> Refused:
    """Turn an answer into an error for people: the API's text, and the next step. Pure."""
    words = _reason(body)
    retry = headers.get("Retry-After") or ""
    seconds = float(retry) if retry.isdecimal() else None
    text = words or f"status {status}"
    if words in WRONG_TOKEN:
        who = "the token is wrong, expired or revoked" if place.token else "this needs a token"
        hint = "set BERTH_TOKEN, or name a context that has one (`berth config show`)"
        return Refused(f"{who} ({place.source}): {hint}", FORBIDDEN, status, words)
    if 300 <= status < 400:
        where = headers.get("Location") or "another address"
        return Refused(f"{place.api} points to {where}: use that address for the API", UNREACHABLE, status, words)
    if status == 429:
        hint = f"repeat it in {retry} s" if seconds else "repeat it later"
        return Refused(f"{text}: {hint}", BUSY, status, words, seconds)
    if status == 503 and "busy" in words.lower():
        return Refused(text, BUSY, status, words, seconds)
    if status in (502, 503, 504):
        return Refused(f"{text}: repeat it in a moment", UNREACHABLE, status, words, seconds)
    text = f"{text}: {HINTS[words]}" if words in HINTS else text
    code = {403: FORBIDDEN, 404: NOT_FOUND}.get(status, FAILED)
    return Refused(text, code, status, words, seconds)


def _reason(body: bytes) -> str:
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(answer, dict):
        return ""
    texts = (answer.get(name) for name in ("error_message", "result_message", "error"))
    reason = next((text for text in texts if isinstance(text, str)), "")
    return f"{reason} (request {answer['request_id']})" if "request_id" in answer else reason
