"""One connection: bytes come to whoever has it, and a writer learns when there is room.

asyncio's streams are not used: before Python 3.11 only one task could wait for room, and bytes that were handed to a
stream's writer cannot be taken back. Concurrency model: one event loop; callbacks run to their end.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Callable, Final

MOST_WAITING: Final = 64 * 1024
"""Bytes that may come before somebody takes them: a head, and the beginning of what follows it."""
HIGH_WATER: Final = 256 * 1024
"""Bytes in the transport above which there is no room."""
END_OF_HEAD: Final = b"\r\n\r\n"


class WireError(ConnectionError):
    """The connection ended, or its peer broke the form; the message says how."""


class Wire(asyncio.Protocol):
    """A connection. Its reader calls :meth:`head` and :meth:`exactly`, and at last :meth:`give` where all may go."""

    def __init__(self, on_made: Callable[[Wire], None] | None = None) -> None:
        self._on_made = on_made
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._news = asyncio.Event()
        self._take: Callable[[bytes], None] | None = None
        self._on_end: Callable[[], None] | None = None
        self._on_room: Callable[[], None] | None = None
        self._ended = False
        self.has_room = True
        """Whether more may be written: below HIGH_WATER."""
        self.lost = False
        """Whether the connection is gone."""
        self.was_closed = False
        """Whether the peer closed it in order: all that it sent has come."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a stream's transport is needed")
        self._transport = transport
        transport.set_write_buffer_limits(HIGH_WATER)
        if self._on_made is not None:
            self._on_made(self)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._take is not None:
            self._take(data)
            return
        self._buffer += data
        if len(self._buffer) > MOST_WAITING:
            self.abort()
        self._news.set()

    def eof_received(self) -> bool:
        """End of what the peer sends: with TLS the connection ends with it."""
        self._ended = self.was_closed = True
        self._news.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        del exc
        self.lost = self._ended = True
        self.has_room = False
        self._news.set()
        if self._on_end is not None:
            self._on_end()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self.has_room = False

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self.has_room = not self.lost
        if self._on_room is not None:
            self._on_room()

    async def head(self) -> bytes:
        """Return the next head (RFC 9112) without its empty line. Raises WireError at the connection's end."""
        while (end := self._buffer.find(END_OF_HEAD)) < 0:
            await self._more()
        head = bytes(self._buffer[:end])
        del self._buffer[: end + len(END_OF_HEAD)]
        return head

    async def exactly(self, length: int) -> bytes:
        """Return the next bytes, at most MOST_WAITING. Raises WireError at the connection's end."""
        while len(self._buffer) < length:
            await self._more()
        content = bytes(self._buffer[:length])
        del self._buffer[:length]
        return content

    def give(self, take: Callable[[bytes], None], on_end: Callable[[], None], on_room: Callable[[], None]) -> None:
        """Hand what waits and all that follows to ``take``; ``on_end`` is called once, at the connection's end."""
        self._take, self._on_end, self._on_room = take, on_end, on_room
        waiting, self._buffer = bytes(self._buffer), bytearray()
        if waiting:
            take(waiting)
        if self.lost:
            on_end()

    def write(self, data: bytes) -> None:
        """Send bytes, or forget them where the connection is gone."""
        if self._transport is not None and not self.lost:
            self._transport.write(data)

    def listen(self, wanted: bool) -> None:
        """Read on, or leave what comes in the kernel."""
        if self._transport is None or self.lost or self._transport.is_closing():
            return
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def close(self) -> None:
        """Send what is written, and close."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once; what is written may be lost."""
        if self._transport is not None:
            self._transport.abort()

    def peer_certificate(self) -> bytes | None:
        """Return the peer's certificate (DER); None where it showed none."""
        tls = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        return tls.getpeercert(binary_form=True) if isinstance(tls, (ssl.SSLObject, ssl.SSLSocket)) else None

    async def _more(self) -> None:
        if self._ended:
            raise WireError("the other side closed the connection")
        self._news.clear()
        await self._news.wait()
