"""OpenVPN's management interface, as far as the agent uses it: a conversation on a Unix socket."""

import socket
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

SECONDS: Final = 1.0
"""How long the socket may take to answer."""
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
    """Read the answer to ``status 2``; columns are found by the names in its header."""
    found: list[Session] = []
    columns: list[str] = []
    for line in lines:
        kind, *values = line.strip().split(",")
        if kind == "HEADER" and values[:1] == ["CLIENT_LIST"]:
            columns = values[1:]
        elif kind == "CLIENT_LIST":
            row = dict(zip(columns, values, strict=False))
            found.append(Session(row["Common Name"], row["Real Address"], row["Client ID"]))
    return found


def is_connected(lines: Sequence[str]) -> bool:
    """Read the answer to ``state``: whether the server has its tunnel and serves."""
    return any(line.split(",")[1:3] == ["CONNECTED", "SUCCESS"] for line in lines)


def connect(path: str) -> "Management | None":
    """Connect; None where no server runs, so that nobody is connected to it either. Raises VpnError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(SECONDS)
    try:
        sock.connect(path)
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    except OSError as exc:
        sock.close()
        raise VpnError(f"the VPN's management socket cannot be reached: {exc}") from exc
    return Management(sock)


class Management:
    """A conversation with OpenVPN over its management socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lines = sock.makefile("r", encoding="utf-8", errors="replace", newline="\n")

    def __enter__(self) -> "Management":
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._sock.close()

    def ask(self, command: str, *, until: str = "") -> list[str]:
        """Send a command; its answer's lines. Without ``until`` the answer is one line, SUCCESS or ERROR.

        (An ERROR there says that the session has ended by itself.)
        """
        lines: list[str] = []
        try:
            self._sock.sendall(f"{command}\n".encode())
            while True:
                line = self._lines.readline().rstrip("\r\n")
                if not line:
                    raise VpnError("the VPN's management socket was closed")
                if line.startswith(">"):  # news that nobody asked for
                    continue
                lines.append(line)
                if line == until or line.startswith("ERROR:") or (not until and line.startswith("SUCCESS:")):
                    return lines
        except OSError as exc:
            raise VpnError(f"the VPN's management socket does not answer: {exc}") from exc
