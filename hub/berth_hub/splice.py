"""Carries bytes between a client's connection and a stream of a link, at the pace of the slower one."""

import asyncio
from typing import Final

from berth_hub import metrics
from berth_tunnel import heads
from berth_tunnel.link import Handler, Headers, Stream
from berth_tunnel.wire import Wire

LINGER: Final = 5.0
"""Seconds in which a machine may close its side after the client has closed in order."""


class Splice(Handler):
    """One stream. The client is answered when the connector is: 200, or the connector's refusal."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stream: Stream | None = None
        self._over = False
        self._unread = 0

    def begin(self, stream: Stream) -> None:
        """Take note of the stream, which waits for the connector's answer."""
        self._stream = stream
        metrics.STREAMS.inc()
        self._wire.give(self._from_client, self._client_gone, self._client_has_room)

    def on_answer(self, status: int, headers: Headers) -> None:
        """Answer the client."""
        if status == 200:
            self._wire.write(heads.answer(200, {"Berth-Link": "open"}))
            return
        reason = headers.get("berth-reason", "Refused")
        metrics.REFUSED.labels(reason).inc()
        body = {"error": headers.get("berth-message", "the connector refused"), "reason": reason}
        self._wire.write(heads.answer_json(status, body))
        self._wire.close()
        self.end(abort=False)

    def on_data(self, data: bytes) -> None:
        """Pass on bytes of the machine."""
        metrics.BYTES.labels("up").inc(len(data))
        self._wire.write(data)
        if (self._wire.has_room or self._wire.lost) and self._stream is not None:
            self._stream.consumed(len(data))
        else:
            self._unread += len(data)

    def on_end(self) -> None:
        """Pass on that the machine sends no more."""
        self._wire.close()

    def on_closed(self) -> None:
        """End the client's connection with the stream."""
        self.end()

    def on_room(self) -> None:
        """Read from the client again."""
        self._wire.listen(True)

    def end(self, *, abort: bool = True) -> None:
        """End both sides."""
        if self._over:
            return
        self._over = True
        metrics.STREAMS.dec()
        if abort:
            self._wire.abort()
        if self._stream is not None:
            self._stream.reset()

    def _client_gone(self) -> None:
        """Let what the client sent arrive, where it closed in order."""
        if not self._wire.was_closed or self._stream is None or self._stream.closed:
            self.end()
        elif not self._over:
            self._client_has_room()
            self._stream.end()
            asyncio.get_running_loop().call_later(LINGER, self.end)

    def _from_client(self, data: bytes) -> None:
        metrics.BYTES.labels("down").inc(len(data))
        if self._stream is not None:
            self._stream.send(data)
            if not self._stream.has_room:
                self._wire.listen(False)

    def _client_has_room(self) -> None:
        if self._stream is not None and self._unread:
            unread, self._unread = self._unread, 0
            self._stream.consumed(unread)
