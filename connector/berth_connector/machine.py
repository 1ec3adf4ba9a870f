"""One stream between the hub and a socket of the machine.

The socket is written by this module and not by asyncio's transports, whose buffers the event loop empties by itself:
here every single write is preceded by the question whether the epoch may still reach the machine (:attr:`gate`).
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections import deque
from typing import Callable, Final

from berth_tunnel.link import Handler, Headers, Stream

CONNECT_SECONDS: Final = 5.0
_CHUNK: Final = 64 * 1024
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: what the kernel has not sent yet is thrown away when the socket closes, and the peer gets a reset."""
_PENDING: Final = (errno.EINPROGRESS, errno.EAGAIN, errno.EWOULDBLOCK)


def refuse(stream: Stream, status: int, reason: str, message: str) -> None:
    """Answer a request with a refusal, and be done with it."""
    stream.answer(status, headers(reason, message), end=True)
    stream.reset()


def headers(reason: str, message: str) -> Headers:
    """Fields that say why, in ASCII."""
    return {
        "berth-reason": reason,
        "berth-message": message.encode("ascii", "replace").decode().replace("\n", " ")[:500],
    }


class MachineStream(Handler):
    """Connects a stream with the machine. ``gate`` says whether bytes may pass now; ``gone`` is called at the end."""

    def __init__(
        self,
        stream: Stream,
        family: int,
        address: tuple[str, int],
        gate: Callable[[], bool],
        gone: Callable[[MachineStream], None],
    ) -> None:
        self.stream = stream
        self.gate = gate
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[memoryview] = deque()
        self._connected = self._peer_ended = self._machine_ended = self.closed = False
        self._writing = self._reading = False
        self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._timer = self._loop.call_later(CONNECT_SECONDS, self._fail, "the machine did not answer in time")
        code = self._socket.connect_ex(address)
        if code in (0, *_PENDING):
            self._watch_writes(True)
        else:
            self._loop.call_soon(self._fail, os.strerror(code))

    def on_data(self, data: bytes) -> None:
        """Take bytes for the machine."""
        if not self.closed:
            self._waiting.append(memoryview(data))
            if self._connected and not self._writing:
                self._flush()

    def on_end(self) -> None:
        """Take note that no more bytes come for the machine."""
        self._peer_ended = True
        if self._connected and not self.closed and not self._writing:
            self._flush()

    def on_closed(self) -> None:
        """Take note that the stream is gone."""
        self.cut()

    def on_room(self) -> None:
        """Read from the machine again."""
        if self._connected and not self.closed and not self._machine_ended:
            self._watch_reads(True)

    def cut(self) -> None:
        """Close the machine's socket at once, and the stream: not a byte goes out from here on."""
        if self.closed:
            return
        self.closed = True
        self._timer.cancel()
        self._watch_reads(False)
        self._watch_writes(False)
        self._waiting.clear()
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        finally:
            self._socket.close()
        self.stream.reset()
        self._gone(self)

    def _writable(self) -> None:
        if self._connected:
            self._flush()
            return
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(os.strerror(code))
            return
        self._timer.cancel()
        self._connected = True
        self.stream.answer(200)
        self._watch_reads(True)
        self._flush()

    def _flush(self) -> None:
        """Write what waits, as far as the machine takes it, asking the gate before each write."""
        while self._waiting and not self.closed:
            if not self.gate():
                self.cut()
                return
            piece = self._waiting[0]
            try:
                count = self._socket.send(piece)
            except (BlockingIOError, InterruptedError):
                self._watch_writes(True)
                return
            except OSError:
                self.cut()
                return
            self.stream.consumed(count)
            if count < len(piece):
                self._waiting[0] = piece[count:]
            else:
                self._waiting.popleft()
        if self.closed:
            return
        self._watch_writes(False)
        if self._peer_ended:
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                self.cut()
                return
            self._finish()

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.cut()
            return
        if not data:
            self._machine_ended = True
            self._watch_reads(False)
            self.stream.end()
            self._finish()
            return
        self.stream.send(data)
        if not self.stream.has_room:
            self._watch_reads(False)

    def _finish(self) -> None:
        """Close once both sides have ended and all is written."""
        if self._peer_ended and self._machine_ended and not self._waiting and not self.closed:
            self.closed = True
            self._timer.cancel()
            self._socket.close()
            self._gone(self)

    def _fail(self, why: str) -> None:
        if not self.closed:
            refuse(self.stream, 502, "MachineUnreachable", why)
            self.cut()

    def _watch_reads(self, wanted: bool) -> None:
        if wanted != self._reading:
            self._reading = wanted
            if wanted:
                self._loop.add_reader(self._socket, self._readable)
            else:
                self._loop.remove_reader(self._socket)

    def _watch_writes(self, wanted: bool) -> None:
        if wanted != self._writing:
            self._writing = wanted
            if wanted:
                self._loop.add_writer(self._socket, self._writable)
            else:
                self._loop.remove_writer(self._socket)
