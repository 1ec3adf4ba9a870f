"""What the server does before there is a request: a malformed one gets JSON too, and a head has limits."""

import asyncio
import uuid
from typing import Any, Final

import orjson
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from berth_api.negotiation import VERSION

log = structlog.get_logger(__name__)

LARGEST_HEAD: Final = 64 * 1024
"""Bytes of a request line with its headers; the parser itself would take any number."""
HEAD_SECONDS: Final = 10.0
"""How long a client may take to send a request line with its headers, from the first byte, or from connecting on."""


ENDING: Final = "ending"
"""In the state of a request's scope: an asyncio.Event that is set when the process is to end."""


class HeadTooLargeError(Exception):
    """A request line and headers of more than LARGEST_HEAD bytes."""


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._in_head = True
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn narrows it
        """Begin to serve a client."""
        super().connection_made(transport)
        self._time_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._untime_head()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0
        self._time_head()

    def on_headers_complete(self) -> None:
        """Hand the request to the application. What is raised here becomes :meth:`send_400_response`."""
        self._in_head = False
        self._untime_head()
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > LARGEST_HEAD:
            raise HeadTooLargeError
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Read on; end the connection where a head finds no end."""
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > LARGEST_HEAD:
                self.send_400_response("the head of the request is too large")

    def shutdown(self) -> None:
        """End when the answer under way has ended; one that would go on for long is told to end (``ENDING``)."""
        super().shutdown()
        if self.scope is not None and (ending := self.scope["state"].get(ENDING)) is not None:
            ending.set()

    def _time_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._end_slow_head)

    def _untime_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_slow_head(self) -> None:
        # Without it, connections that say nothing would be held for as long as their clients like.
        if not self.transport.is_closing():
            self.send_400_response("the head of the request took too long")

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request that the application could see, and end the connection."""
        request_id = str(uuid.uuid4())
        log.info("malformed request", reason=msg, request_id=request_id)
        body = orjson.dumps({"error_message": "malformed HTTP request"})
        lines = (
            "HTTP/1.1 400 Bad Request",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
            "Cache-Control: no-store",
            f"X-API-Version: {VERSION}",
            f"X-Request-Id: {request_id}",
        )
        head = "".join(f"{line}\r\n" for line in lines) + "\r\n"
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()
