"""Ends TCP connections that others have opened to this pod: inside at once, and with a reset to the other side.

It asks the kernel over netlink (``sock_diag(7)``, as ``ss --kill`` does), which needs NET_ADMIN and a kernel with
CONFIG_INET_DIAG_DESTROY. Connections that the workspace has opened, and those over the loopback, go on: a
program may need both to bring a machine to rest.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

_SOCK_DIAG: Final = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY, _DESTROY = 20, 21  # SOCK_DIAG_BY_FAMILY, SOCK_DESTROY
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300  # NLM_F_*
_ERROR, _DONE = 2, 3  # NLMSG_*
_HEAD: Final = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_WANTED: Final = struct.Struct("=BBBBI48s")  # inet_diag_req_v2: family, protocol, extensions, padding, states, id
_FOUND: Final = struct.Struct("=BBBB48s")  # inet_diag_msg: family, state, timer, retransmissions, id
_ID: Final = struct.Struct("!HH16s16s")  # ports and addresses of both ends; interface and cookie follow
_LISTEN: Final = 10
_STATES: Final = sum(1 << state for state in (1, 3, 4, 5, 8, 9, _LISTEN, 11))
"""ESTABLISHED, SYN_RECV, FIN_WAIT1 and 2, CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING."""
_LOOPBACKS: Final = (b"\x7f", bytes(10) + b"\xff\xff\x7f", bytes(15) + b"\x01")
_SECONDS: Final = 1.0


class _Socket(NamedTuple):
    family: int
    state: int
    id: bytes
    port: int
    local: bytes
    peer: bytes


def end_inbound(*, but: int) -> int:
    """End every connection to a port on which something listens, ``but`` one; how many. OSError: the kernel cannot."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as netlink:
        netlink.settimeout(_SECONDS)
        sockets = [one for family in (socket.AF_INET, socket.AF_INET6) for one in _listed(netlink, family)]
        ports = {one.port for one in sockets if one.state == _LISTEN} - {but}
        return sum(_end(netlink, one) for one in sockets if one.state != _LISTEN and one.port in ports and _far(one))


def _far(one: _Socket) -> bool:
    return one.local != one.peer and not one.peer.startswith(_LOOPBACKS)


def _listed(netlink: socket.socket, family: int) -> Iterator[_Socket]:
    _send(netlink, _BY_FAMILY, _REQUEST | _DUMP, family, _STATES, bytes(48))
    for body in _answers(netlink):
        its_family, state, _, _, its_id = _FOUND.unpack_from(body)
        port, _, local, peer = _ID.unpack_from(its_id)
        yield _Socket(its_family, state, its_id, port, local, peer)


def _end(netlink: socket.socket, one: _Socket) -> bool:
    _send(netlink, _DESTROY, _REQUEST | _ACK, one.family, 0, one.id)
    try:
        return not list(_answers(netlink))
    except FileNotFoundError:  # it ended meanwhile
        return False


def _send(netlink: socket.socket, kind: int, flags: int, family: int, states: int, its_id: bytes) -> None:
    body = _WANTED.pack(family, socket.IPPROTO_TCP, 0, 0, states, its_id)
    netlink.send(_HEAD.pack(_HEAD.size + len(body), kind, flags, 0, 0) + body)


def _answers(netlink: socket.socket) -> Iterator[bytes]:
    """Bodies of the answer to one request; OSError where it is a refusal."""
    while True:
        block = netlink.recv(1 << 16)
        while block:
            length, kind, *_ = _HEAD.unpack_from(block)
            body, block = block[_HEAD.size : length], block[(length + 3) & ~3 :]
            if kind == _DONE:
                return
            if kind == _ERROR:
                (code,) = struct.unpack_from("=i", body)
                if code:
                    raise OSError(-code, f"sock_diag: {errno.errorcode.get(-code, '')} {os.strerror(-code)}")
                return
            yield body
