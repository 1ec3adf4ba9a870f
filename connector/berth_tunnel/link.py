"""Streams of bytes over one connection, by HTTP/2 (RFC 9113).

The connector opens the connection and is HTTP/2's server on it, so that the hub can open streams: a stream is a POST
whose bodies go both ways at once. Concurrency model: one event loop, and callbacks, so that between a byte that came
and what is done with it nothing else runs.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Callable, Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from berth_tunnel.wire import Wire

WINDOW: Final = 512 * 1024
"""Bytes of one stream that may be on their way: 100 Mbit/s at 40 ms, and the most that a slow reader costs."""
MOST_STREAMS: Final = 64
FRAME: Final = 64 * 1024 - 1
BACKLOG: Final = 128 * 1024
"""Bytes that wait in a stream for its peer; above that the stream has no room."""
_FRAME_HEAD: Final = 9
_CREDIT: Final = 1 << 30
"""The connection's own window stands open: each stream's window bounds what may come."""

Headers = Mapping[str, str]


def steady() -> float:
    """Read a clock that nobody sets, in seconds; where the system has such a clock, it counts sleep too."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Handler:
    """Takes what comes on a stream. Methods that are not replaced do nothing."""

    def on_answer(self, status: int, headers: Headers) -> None:
        """Called on the hub's side, when the connector answered."""

    def on_data(self, data: bytes) -> None:
        """Take bytes. Say ``stream.consumed(len(data))`` once they are out of memory."""

    def on_end(self) -> None:
        """Take note that the peer sends no more."""

    def on_closed(self) -> None:
        """Take note that the stream is gone: reset by the peer, or lost with its connection."""

    def on_room(self) -> None:
        """Take note that the stream has room again."""


class Stream:
    """One stream of a link."""

    def __init__(self, link: Link, number: int, handler: Handler) -> None:
        self.handler = handler
        self.number = number
        self._link = link
        self._waiting: deque[memoryview] = deque()
        self._queued = 0
        self._ending = self._own_end = self._peer_end = False
        self._owed = 0
        self.closed = False

    @property
    def has_room(self) -> bool:
        """Whether more may be sent without more than BACKLOG waiting."""
        return self._queued < BACKLOG

    def answer(self, status: int, headers: Headers | None = None, *, end: bool = False) -> None:
        """Answer a request, on the connector's side."""
        if self.closed:
            return
        fields = [(":status", str(status)), *(headers or {}).items()]
        try:
            self._link.h2.send_headers(self.number, fields, end_stream=end)
        except ProtocolError:  # the peer has reset it, and the news of that is on its way
            return
        self._link.flush()
        if end:
            self._ending = True
            self.ended(own=True)

    def send(self, data: bytes) -> None:
        """Send bytes; they wait here until the peer has room."""
        if self.closed or self._ending or not data:
            return
        self._waiting.append(memoryview(data))
        self._queued += len(data)
        self._link.sendable(self)

    def end(self) -> None:
        """Send no more, once what waits is sent."""
        if not self.closed and not self._ending:
            self._ending = True
            self._link.sendable(self)

    def reset(self) -> None:
        """End the stream at once, in both directions."""
        if not self.closed:
            self._link.reset(self)

    def consumed(self, count: int) -> None:
        """Let the peer send as many bytes more."""
        self._owed += count
        if self._owed * 4 >= WINDOW and not self.closed:
            self._link.credit(self, self._owed)
            self._owed = 0

    def step(self) -> bool:
        """Send one frame of what waits; whether more can be sent now."""
        if self.closed:
            return False
        try:
            return self._step()
        except ProtocolError:  # the peer has reset it, and the news of that is on its way
            self._waiting.clear()
            self._queued = 0
            return False

    def _step(self) -> bool:
        h2 = self._link.h2
        if self._waiting:
            size = min(len(self._waiting[0]), h2.local_flow_control_window(self.number), h2.max_outbound_frame_size)
            if size <= 0:
                return False
            piece = self._waiting[0]
            h2.send_data(self.number, bytes(piece[:size]))
            self._queued -= size
            if size < len(piece):
                self._waiting[0] = piece[size:]
            else:
                self._waiting.popleft()
            if self._queued < BACKLOG <= self._queued + size:
                self.handler.on_room()
            return bool(self._waiting) or self._ending
        if self._ending and not self._own_end:
            h2.end_stream(self.number)
            self.ended(own=True)
        return False

    def ended(self, *, own: bool) -> None:
        """Take note that one side has ended; once both have, the stream is over."""
        self._own_end, self._peer_end = self._own_end or own, self._peer_end or not own
        if self._own_end and self._peer_end:
            self.closed = True
            self._link.forget(self)

    def drop(self) -> None:
        """Forget what waits; the link calls this when the stream is gone."""
        self.closed = True
        self._waiting.clear()
        self._queued = 0
        self.handler.on_closed()


class Link:
    """An HTTP/2 connection. ``accept`` makes the handler of a stream that the peer opens (connector's side only)."""

    def __init__(
        self,
        wire: Wire,
        *,
        on_end: Callable[[str], None],
        accept: Callable[[Stream, Headers], Handler] | None = None,
        most_silence: float | None = None,
    ) -> None:
        """Begin on a wire. Bytes that come after ``most_silence`` seconds without any are not looked at any more."""
        self._wire = wire
        self._on_end = on_end
        self._accept = accept
        self._most_silence = most_silence
        self._streams: dict[int, Stream] = {}
        self._ready: deque[Stream] = deque()
        self._queued: set[int] = set()
        self._pumping = False
        self.why: str | None = None
        """Why it ended; None while it stands."""
        self.heard = steady()
        """When something came last."""
        self.h2 = H2Connection(H2Configuration(client_side=accept is None, header_encoding="utf-8"))
        self.h2.local_settings = Settings(
            client=accept is None,
            initial_values={
                SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
                SettingCodes.MAX_FRAME_SIZE: FRAME,
                SettingCodes.MAX_CONCURRENT_STREAMS: MOST_STREAMS,
                SettingCodes.MAX_HEADER_LIST_SIZE: 16 * 1024,
                SettingCodes.ENABLE_PUSH: 0,
            },
        )
        self.h2.max_inbound_frame_size = FRAME
        self._received = 0

    def start(self) -> None:
        """Say hello, and take what comes."""
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(_CREDIT)
        self.flush()
        self._wire.give(self._take, self._lost, self._pump)

    @property
    def stands(self) -> bool:
        """Whether the link has not ended."""
        return self.why is None

    def open(self, path: str, headers: Headers, handler: Handler) -> Stream:
        """Open a stream, on the hub's side. Raises ConnectionError where the link cannot have one."""
        if not self.stands:
            raise ConnectionError("the link has ended")
        fields = [(":method", "POST"), (":scheme", "https"), (":authority", "connector"), (":path", path)]
        try:
            number = self.h2.get_next_available_stream_id()
            self.h2.send_headers(number, [*fields, *headers.items()])
        except ProtocolError as error:
            raise ConnectionError(f"the link has no place for another stream: {error}") from error
        stream = self._streams[number] = Stream(self, number, handler)
        self.flush()
        return stream

    def ping(self) -> None:
        """Ask for a sign of life."""
        if self.stands:
            self.h2.ping(b"berth-ok")
            self.flush()

    def end(self, why: str) -> None:
        """Close the connection at once. All streams are lost."""
        if self.stands:
            self.why = why
            self._wire.abort()
            self._drop_all()
            self._on_end(why)

    def flush(self) -> None:
        """Write what HTTP/2 has to say."""
        data = self.h2.data_to_send()
        if data:
            self._wire.write(data)

    def sendable(self, stream: Stream) -> None:
        """Take note that a stream has something to send."""
        if stream.number not in self._queued and not stream.closed:
            self._queued.add(stream.number)
            self._ready.append(stream)
        if not self._pumping:
            self._pump()

    def credit(self, stream: Stream, count: int) -> None:
        """Widen a stream's window."""
        if stream.number in self._streams:
            try:
                self.h2.increment_flow_control_window(count, stream.number)
            except (ProtocolError, KeyError):  # the peer has ended it meanwhile, and h2 has forgotten it
                return
            self.flush()

    def forget(self, stream: Stream) -> None:
        """Take note that a stream has ended on both sides."""
        self._streams.pop(stream.number, None)

    def reset(self, stream: Stream) -> None:
        """End a stream in both directions."""
        if self._streams.pop(stream.number, None) is None:
            return
        try:
            self.h2.reset_stream(stream.number, ErrorCodes.CANCEL)
        except ProtocolError:  # it has ended by itself
            pass
        stream.drop()
        self.flush()

    def _pump(self) -> None:
        """Send frames of the streams in turn, while the connection has room."""
        self._pumping = True
        try:
            while self._ready and self._wire.has_room and self.stands:
                stream = self._ready.popleft()
                self._queued.discard(stream.number)
                if stream.step() and stream.number not in self._queued:
                    self._queued.add(stream.number)
                    self._ready.append(stream)
                self.flush()
        finally:
            self._pumping = False

    def _take(self, data: bytes) -> None:
        if not self.stands:
            return
        if self._most_silence is not None and steady() - self.heard > self._most_silence:
            self.end("it was silent for too long")
            return
        self.heard = steady()
        try:
            events = self.h2.receive_data(data)
        except ProtocolError as error:
            self.flush()
            self.end(f"the other side broke the protocol: {error}")
            return
        # h2 looks at the length of a frame only once it has all of it: 16 MiB, if a peer says so.
        if len(self.h2.incoming_buffer._data) > FRAME + _FRAME_HEAD:
            self.end("the other side broke the protocol: it sends frames that are too long")
            return
        for event in events:
            self._hear(event)
        if self.stands:
            self.flush()
            self._pump()

    def _hear(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            self._received += event.flow_controlled_length or 0
            if self._received * 2 >= _CREDIT:
                self.h2.increment_flow_control_window(self._received)
                self._received = 0
            stream = self._streams.get(event.stream_id)
            if stream is not None and event.data:
                stream.handler.on_data(event.data)
        elif isinstance(event, RequestReceived):
            self._request(event)
        elif isinstance(event, ResponseReceived):
            stream = self._streams.get(event.stream_id)
            headers = dict(_text(event.headers))
            if stream is not None:
                stream.handler.on_answer(int(headers.get(":status", "0")), headers)
        elif isinstance(event, StreamEnded):
            stream = self._streams.get(event.stream_id)
            if stream is not None:
                stream.ended(own=False)
                stream.handler.on_end()
        elif isinstance(event, StreamReset):
            stream = self._streams.pop(event.stream_id, None)
            if stream is not None:
                stream.drop()
        elif isinstance(event, WindowUpdated):
            for stream in [self._streams.get(event.stream_id)] if event.stream_id else list(self._streams.values()):
                if stream is not None:
                    self.sendable(stream)
        elif isinstance(event, ConnectionTerminated):
            self.end("the other side ended the link")

    def _request(self, event: RequestReceived) -> None:
        if self._accept is None:
            self.end("the other side opened a stream, which it may not")
            return
        stream = self._streams[event.stream_id] = Stream(self, event.stream_id, Handler())
        stream.handler = self._accept(stream, dict(_text(event.headers)))

    def _lost(self) -> None:
        if self.stands:
            self.why = "the connection was lost"
            self._drop_all()
            self._on_end(self.why)

    def _drop_all(self) -> None:
        streams, self._streams = list(self._streams.values()), {}
        for stream in streams:
            stream.drop()


def _text(headers: object) -> list[tuple[str, str]]:
    pairs = headers if isinstance(headers, (list, tuple)) else []
    return [(str(name), str(value)) for name, value in pairs]
