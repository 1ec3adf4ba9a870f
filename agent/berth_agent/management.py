"""OpenVPN's management interface, as far as the agent uses it: a conversation on a Unix socket.

OpenVPN talks to strangers, so its answers are not trusted: they have an end, in bytes and in time.
"""

import os
import socket
import stat
import time
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

SECONDS: Final = 2.0
"""How long one conversation may take: the agent does nothing else meanwhile."""
MOST_BYTES: Final = 1024 * 1024
"""Of all answers in one conversation."""
UNNAMED: Final = "UNDEF"
"""Name of a session whose handshake is not over."""


class Session(NamedTuple):
    """One that OpenVPN has with a client. Before its handshake is over, ``name`` is UNNAMED."""

    name: str
    address: str
    number: str


class VpnError(Exception):
    """OpenVPN did not do what it was asked."""


def sessions(lines: Iterable[str]) -> list[Session]:
    """Read the answer to ``status 2``; columns are found by the names in its header. Raises VpnError."""
    result: list[Session] = []
    columns: list[str] = []
    for line in lines:
        kind, *values = line.strip().split(",")
        if kind == "HEADER" and values[:1] == ["CLIENT_LIST"]:
            columns = values[1:]
        elif kind == "CLIENT_LIST":
            row = dict(zip(columns, values, strict=False))
            try:
                result.append(Session(row["Common Name"], row["Real Address"], row["Client ID"]))
            except KeyError as exc:
                raise VpnError(f"the VPN's list of clients lacks the column {exc}") from exc
    return result


def is_connected(lines: Sequence[str]) -> bool:
    """Read the answer to ``state``: whether the server has its tunnel and serves."""
    return any(line.split(",")[1:3] == ["CONNECTED", "SUCCESS"] for line in lines)


def connect(path: str) -> "Management | None":
    """Connect; None where no server runs, so that nobody is connected to it either. Raises VpnError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(SECONDS)
    try:
        # A link could lead to another program's socket.
        place = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if not stat.S_ISSOCK(os.fstat(place).st_mode):
                raise VpnError("the VPN's management socket is something else")
            sock.connect(f"/proc/self/fd/{place}")
        finally:
            os.close(place)
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    except OSError as exc:
        sock.close()
        raise VpnError(f"the VPN's management socket cannot be reached: {exc}") from exc
    except VpnError:
        sock.close()
        raise
    return Management(sock)


class Management:
    """A conversation with OpenVPN over its management socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._until = time.monotonic() + SECONDS
        self._left = MOST_BYTES
        self._buffer = b""

    def __enter__(self) -> "Management":
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def ask(self, command: str, *, until: str = "") -> list[str]:
        """Send a command; its answer's lines. Without ``until`` the answer is one line, SUCCESS or ERROR.

        (An ERROR there says that the session has ended by itself.)
        """
        lines: list[str] = []
        try:
            self._sock.sendall(f"{command}\n".encode())
            while True:
                line = self._line()
                if line.startswith(">"):  # news that nobody asked for
                    continue
                lines.append(line)
                if line == until or line.startswith("ERROR:") or (not until and line.startswith("SUCCESS:")):
                    return lines
        except OSError as exc:
            raise VpnError(f"the VPN's management socket does not answer: {exc}") from exc

    def _line(self) -> str:
        pieces = []
        while b"\n" not in self._buffer:
            pieces.append(self._buffer)
            self._sock.settimeout(max(self._until - time.monotonic(), 0.001))
            self._buffer = self._sock.recv(65536)
            self._left -= len(self._buffer)
            if not self._buffer:
                raise VpnError("the VPN's management socket was closed")
            if self._left < 0:
                raise VpnError(f"the VPN's management socket says more than {MOST_BYTES} bytes")
        line, _, self._buffer = self._buffer.partition(b"\n")
        return b"".join((*pieces, line)).decode("utf-8", errors="replace").rstrip("\r")
