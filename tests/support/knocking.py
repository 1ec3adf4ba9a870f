"""Knocks from any network namespace and source address, by TCP, UDP and ICMP echo, and their results.

Answers must come at once: ``SILENCE`` seconds without a word count as a drop. Linux only, as root.
"""

import ctypes
import errno
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

ANSWERED, SILENT, RESET, UNREACHABLE = "answered", "silent", "reset", "port unreachable"
MEETS = {
    "tcp": {"ACCEPT": ANSWERED, "DROP": SILENT, "REJECT": RESET},
    "udp": {"ACCEPT": ANSWERED, "DROP": SILENT, "REJECT": UNREACHABLE},
    "icmp": {"ACCEPT": ANSWERED, "DROP": SILENT, "REJECT": UNREACHABLE},
}
"""Results that docs/explanation/firewall.md promises, by protocol and action; for established connections too."""
SILENCE = 1.0
_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
_BY_ICMP = {2, 3}
"""Origins of an error in a socket's queue: an ICMP or ICMPv6 message, and not a reset."""
_PORT = {(2, 3, 3), (3, 1, 4)}
"""Port unreachable: origin, type and code."""
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Source:
    """An address in a network namespace (a file of /run/netns or /proc), and what it is called."""

    name: str
    netns: Path
    address: str

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET

    def open(self, kind: int, proto: int = 0) -> socket.socket:
        """A socket that lives there, with that source address, and hears of ICMP errors at once."""
        sock = inside(self.netns, lambda: socket.socket(self.family, kind, proto))
        sock.setsockopt(*_RECVERR[self.family], 1)
        sock.bind((self.address, 0))
        sock.settimeout(SILENCE)
        return sock


@dataclass
class Knock:
    """A try to reach ``to`` (address, port; the port counts for nothing with ICMP), and what it ``met``."""

    source: Source
    protocol: str
    to: tuple[str, int]
    held: socket.socket | None = field(default=None, repr=False)
    """A TCP connection that came about, for later."""

    def met(self) -> str:
        """Do it."""
        return {"tcp": self._tcp, "udp": self._udp, "icmp": self._icmp}[self.protocol]()

    def _tcp(self) -> str:
        sock = self.source.open(socket.SOCK_STREAM)
        try:
            sock.connect(self.to)
        except OSError as refusal:
            try:
                return told(sock, refusal)
            finally:
                sock.close()
        self.held = sock
        return ANSWERED

    def _udp(self) -> str:
        with self.source.open(socket.SOCK_DGRAM) as sock:
            try:
                sock.connect(self.to)
                sock.send(b"anybody?")
                sock.recv(100)
            except OSError as refusal:
                return told(sock, refusal)
            return ANSWERED

    def _icmp(self) -> str:
        six = self.source.family == socket.AF_INET6
        echo, reply, refusal, code, skip = (128, 129, 1, 4, 0) if six else (8, 0, 3, 3, 20)
        mark = struct.pack("!HH", int.from_bytes(os.urandom(2), "big"), 1)
        message = struct.pack("!BBH", echo, 0, 0) + mark
        if not six:  # of ICMPv6 the kernel makes the checksum
            message = struct.pack("!BBH", echo, 0, _checksum(message)) + mark
        with self.source.open(socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP) as sock:
            sock.sendto(message, (self.to[0], 0))
            until = time.monotonic() + SILENCE
            while (left := until - time.monotonic()) > 0 and select.select([sock], [], [], left)[0]:
                try:
                    packet = sock.recv(1500)[skip:]
                except OSError:
                    continue  # the same error, which stands in a packet of its own too
                if packet[0] == reply and packet[4:8] == mark:
                    return ANSWERED
                # Behind 8 bytes of its own, the header of what it is about, and 4 bytes of that.
                if (packet[0], packet[1]) == (refusal, code) and mark in packet[8:]:
                    return UNREACHABLE
        return SILENT


def told(sock: socket.socket, refusal: OSError) -> str:
    """Result of a failed try: nothing, a reset, or an ICMP message that the port cannot be reached."""
    if isinstance(refusal, TimeoutError) and refusal.errno is None:
        return SILENT
    try:
        _, ancillary, _, _ = sock.recvmsg(100, 512, socket.MSG_ERRQUEUE)
    except OSError:
        ancillary = []
    for _, _, data in ancillary:
        _, origin, kind, code = struct.unpack_from("=IBBB", data)
        if origin in _BY_ICMP:
            return UNREACHABLE if (origin, kind, code) in _PORT else f"ICMP type {kind} code {code}"
    if refusal.errno in (errno.ECONNREFUSED, errno.ECONNRESET):
        return RESET
    return errno.errorcode.get(refusal.errno or 0, str(refusal))


def talks(sock: socket.socket) -> str:
    """Fate of an established TCP connection to an echo server."""
    try:
        sock.settimeout(SILENCE)
        sock.sendall(b"still there?\n")
        while word := sock.recv(100):
            if word.endswith(b"still there?\n"):
                return ANSWERED
        return "closed"
    except OSError as refusal:
        return told(sock, refusal)


def all_met(knocks: Iterable[Knock]) -> list[str]:
    """Result of each knock, all tried side by side."""
    knocks = list(knocks)
    with ThreadPoolExecutor(max(1, min(96, len(knocks)))) as threads:
        return list(threads.map(Knock.met, knocks))


def all_meet(knocks: Sequence[Knock], wanted: Sequence[str]) -> list[str]:
    """Like :func:`all_met`, on a machine that others use: who waited in vain for an answer that is due asks again.

    An answer can come late, and silence cannot: nothing else is tried twice.
    """
    met = all_met(knocks)
    late = [n for n, (found, due) in enumerate(zip(met, wanted, strict=True)) if found == SILENT != due]
    for n, found in zip(late, all_met(knocks[n] for n in late), strict=True):
        met[n] = found
    return met


def all_told(knocks: Iterable[Knock]) -> list[tuple[Knock, str]]:
    """Fate of each established connection, all tried side by side and then closed."""
    held = [(knock, knock.held) for knock in knocks if knock.held is not None]
    with ThreadPoolExecutor(max(1, min(64, len(held)))) as threads:
        found = list(threads.map(lambda pair: (pair[0], talks(pair[1])), held))
    for knock, sock in held:
        sock.close()
        knock.held = None
    return found


def inside(netns: Path, function: Callable[[], T]) -> T:
    """Run a function on a thread that lives in the namespace. Sockets made there stay there, wherever they are used."""
    result: Future[T] = Future()

    def enter() -> None:
        try:
            with netns.open("rb") as handle:
                if _libc.setns(handle.fileno(), 0):
                    raise OSError(ctypes.get_errno(), "setns")
            result.set_result(function())
        except BaseException as error:
            result.set_exception(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return result.result()


def _checksum(message: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(message) // 2}H", message))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF
