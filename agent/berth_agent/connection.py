"""One TLS connection, read and written without ever blocking the loop."""

import socket
import ssl
import time
from typing import Final

from berth_agent import wire
from berth_agent.loop import Task, readable, writable
from berth_agent.wire import END_OF_HEAD, MAX_HEAD, HTTPError

HANDSHAKE: Final = 3.0
"""Seconds from the connection to the end of the handshake."""
REQUEST: Final = 10.0
"""Seconds for all bytes of a request, and for all bytes of an answer."""
IDLE: Final = 120.0
"""Seconds that a connection stays open between requests."""
LINGER: Final = 1.0
"""Seconds in which a client may read an answer that came before it had sent all of its request."""
_CHUNK: Final = 64 * 1024


class Connection:
    """A client's connection. Errors: TimeoutError past a limit, OSError (with ssl.SSLError) when it breaks."""

    def __init__(self, sock: socket.socket) -> None:
        self._raw = sock
        self._tls: ssl.SSLSocket | None = None
        self._buffer = bytearray()
        self.task: Task | None = None
        self.known = False
        """Whether the client has shown the operator's certificate."""
        self.idle = True
        """Whether no request is under way."""

    async def handshake(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Do the TLS handshake; the result has the peer's verified certificate."""
        until = time.monotonic() + HANDSHAKE
        self._raw.setblocking(False)
        self._raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._tls = context.wrap_socket(self._raw, server_side=True, do_handshake_on_connect=False)
        while True:
            try:
                self._tls.do_handshake()
                return self._tls
            except ssl.SSLWantReadError:
                await readable(self._tls, until)
            except ssl.SSLWantWriteError:
                await writable(self._tls, until)

    async def read_head(self) -> bytes | None:
        """Next request's head without its empty line; None when the client closed. HTTPError 431 when too long."""
        self.idle = not self._buffer
        until = time.monotonic() + (IDLE if self.idle else REQUEST)
        while (end := self._buffer.find(END_OF_HEAD)) < 0:
            if len(self._buffer) > MAX_HEAD:
                raise HTTPError(431, f"the head of a request may have at most {MAX_HEAD} bytes")
            if not await self._receive(until):
                return None
            if self.idle:
                self.idle = False
                until = time.monotonic() + REQUEST
        if end > MAX_HEAD:
            raise HTTPError(431, f"the head of a request may have at most {MAX_HEAD} bytes")
        head = bytes(self._buffer[:end])
        del self._buffer[: end + len(END_OF_HEAD)]
        return head

    async def read_body(self, request: wire.Request) -> bytes:
        """Body of the request whose head was read; ConnectionError when the client closes before its end."""
        until = time.monotonic() + REQUEST
        if request.expects and len(self._buffer) < request.length:
            await self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(self._buffer) < request.length:
            if not await self._receive(until):
                raise ConnectionError("closed in the middle of a body")
        body = bytes(self._buffer[: request.length])
        del self._buffer[: request.length]
        return body

    async def send(self, content: bytes) -> None:
        """Send all of the bytes."""
        tls, until = self._established(), time.monotonic() + REQUEST
        rest = memoryview(content)
        while rest:
            try:
                rest = rest[tls.send(rest) :]
            except ssl.SSLWantReadError:
                await readable(tls, until)
            except ssl.SSLWantWriteError:
                await writable(tls, until)

    async def linger(self) -> None:
        """Let the client read what was sent: closing with bytes unread would reset the connection."""
        tls, until = self._established(), time.monotonic() + LINGER
        tls.shutdown(socket.SHUT_WR)
        while True:
            try:
                if not socket.socket.recv(tls, _CHUNK):
                    return
            except BlockingIOError:
                await readable(tls, until)

    def close(self) -> None:
        """Close the socket, whatever state it is in."""
        (self._tls or self._raw).close()

    async def _receive(self, until: float) -> bool:
        """Take what has come into the buffer; false at the end of the stream."""
        tls = self._established()
        while True:
            try:
                content = tls.recv(_CHUNK)
            except ssl.SSLWantReadError:
                await readable(tls, until)
            except ssl.SSLWantWriteError:
                await writable(tls, until)
            else:
                self._buffer += content
                return bool(content)

    def _established(self) -> ssl.SSLSocket:
        if self._tls is None:
            raise ConnectionError("no TLS on this connection")
        return self._tls
