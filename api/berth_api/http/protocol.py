"""The server's side of a connection: a malformed request gets JSON too, and idle clients hold no connection for long.

The client has limited time to send head and body, and to take an answer. Connections are limited in number: one more
ends the connection that has waited longest for its client, be it for TLS, a request, the rest of one, or for taking an
answer. Where none waits, because complete requests are being answered on all, the new one is refused.
"""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any, ClassVar, Final

import orjson
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from berth_api.config import BODY_SECONDS, MOST_CONNECTIONS
from berth_api.http.negotiation import VERSION

log = structlog.get_logger(__name__)

LARGEST_HEAD: Final = 64 * 1024
"""Bytes of a request line with its headers; the parser itself would take any number."""
HEAD_SECONDS: Final = 10.0
"""How long a client may take to send a request line with its headers, from the first byte or the connection on."""
WRITE_SECONDS: Final = 60.0
"""How long a client may take nothing of an answer while the write buffer is full."""
ENDING: Final = "ending"
"""In the state of a request's scope: an asyncio.Event that is set when the process is to end."""


class HeadTooLargeError(Exception):
    """A request line and headers of more than LARGEST_HEAD bytes."""


class Protocol(HttpToolsProtocol):
    """One connection."""

    most_connections: ClassVar[int] = MOST_CONNECTIONS
    body_seconds: ClassVar[int] = BODY_SECONDS
    """How long a client may take to send a body, from the end of the head on."""
    everyone: ClassVar[dict["Protocol", None]] = {}
    """All connections, by the client's last activity; the most recent one is last."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_head = True
        self._head_bytes = 0
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._end: Callable[[], object]

    def enter(self, end: Callable[[], object]) -> None:
        """Count as a connection from now on, which waits for its client; ``end`` ends it at once."""
        self._end = end
        self.connections.add(self)
        self.everyone[self] = None
        self._wait()

    def leave(self) -> None:
        """Count no longer."""
        self.connections.discard(self)
        self.everyone.pop(self, None)

    def make_room(self) -> bool:
        """End the connection that has waited longest where there are too many; False where no other one waits."""
        if len(self.connections) <= self.most_connections:
            return True
        one = next((one for one in self.everyone if one._waits and one is not self), None)
        if one is None:
            return False
        one.leave()
        one._end()
        return True

    @property
    def is_open(self) -> bool:
        """Whether requests can or could come: with TLS only after the handshake."""
        return self.transport is not None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn narrows it
        """Begin to serve a client."""
        super().connection_made(transport)
        self.enter(transport.abort)
        if not self.make_room():
            self._refuse("503 Service Unavailable", "too many connections. Try again later.", retry_after=1)
        else:
            self._time("head", HEAD_SECONDS, self._end_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        for what in list(self._timers):
            self._untime(what)
        super().connection_lost(exc)
        self.leave()

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._wait()
        self._in_head = True
        self._head_bytes = 0
        self._time("head", HEAD_SECONDS, self._end_slow)

    def on_headers_complete(self) -> None:
        """Hand the request to the application. An exception here becomes :meth:`send_400_response`."""
        self._in_head = False
        self._untime("head")
        self._time("body", self.body_seconds, self._end_slow)
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > LARGEST_HEAD:
            raise HeadTooLargeError
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End the request."""
        self._untime("body")
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Become idle, or go on with the next request."""
        self._wait()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait until the client has taken some of the answer, for a limited time."""
        super().pause_writing()
        self._wait()
        self._time("write", WRITE_SECONDS, lambda _: self.transport.abort())

    def resume_writing(self) -> None:
        """Go on."""
        self._untime("write")
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Read on; end the connection where the head is too large."""
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > LARGEST_HEAD:
                self.send_400_response("the head of the request is too large")

    def shutdown(self) -> None:
        """End after the answer under way; a long answer is told to end (``ENDING``)."""
        if not self.is_open:
            self._end()
            return
        super().shutdown()
        if self.scope is not None and (ending := self.scope["state"].get(ENDING)) is not None:
            ending.set()

    def _wait(self) -> None:
        """Become the connection that has waited for its client for the shortest time."""
        if self in self.everyone:  # not an ended connection whose request still runs
            self.everyone[self] = self.everyone.pop(self)

    @property
    def _waits(self) -> bool:
        """Whether the client has to act: always, unless a complete request is answered and the answer is taken."""
        if self.cycle is None or self.transport.is_closing():
            return True
        return self.cycle.response_complete or self.cycle.more_body or "write" in self._timers

    def _time(self, what: str, seconds: float, end: Callable[[str], None]) -> None:
        if what not in self._timers:
            self._timers[what] = self.loop.call_later(seconds, end, what)

    def _untime(self, what: str) -> None:
        if (timer := self._timers.pop(what, None)) is not None:
            timer.cancel()

    def _end_slow(self, what: str) -> None:
        # Without this, silent clients could hold connections for ever.
        if self.transport.is_closing():
            return
        if self.cycle is not None and self.cycle.response_started and what == "body":
            self.transport.abort()  # the answer is under way, or was given
        else:
            self.send_400_response(f"the {what} of the request took too long")

    def send_400_response(self, msg: str) -> None:
        """Refuse a malformed request, which the application never sees, and end the connection."""
        self._refuse("400 Bad Request", "malformed HTTP request", reason=msg)

    def _refuse(self, status: str, message: str, *, reason: str = "", retry_after: int | None = None) -> None:
        request_id = str(uuid.uuid4())
        log.info("refused before there was a request", reason=reason or message, request_id=request_id)
        body = orjson.dumps({"error_message": message})
        lines = [
            f"HTTP/1.1 {status}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
            "Cache-Control: no-store",
            f"X-API-Version: {VERSION}",
            f"X-Request-Id: {request_id}",
            *([f"Retry-After: {retry_after}"] if retry_after is not None else ()),
        ]
        head = "".join(f"{line}\r\n" for line in lines) + "\r\n"
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()
