"""Finds out from outside whether packets to an announced address arrive at the instance (ADR 0004).

The instance's ruleset answers a SYN of ours that no user's rule speaks of with "administratively prohibited". So that
answer, or a connection, says that the whole path works. "Connection refused" says that it does not yet; silence, or an
answer of another kind (such as a router's that finds no host), that it cannot be known.
"""

import asyncio
import errno
import socket
import struct
from typing import Final

ATTEMPT_SECONDS: Final = 0.15
"""A SYN that was dropped is sent again by the kernel only after a second; a new attempt is sooner."""
PAUSE_SECONDS: Final = 0.02
_IP_RECVERR: Final = 11
_BY_ICMP: Final = 2  # SO_EE_ORIGIN_ICMP
_UNREACHABLE, _PORT, _PROHIBITED = 3, 3, 13
"""ICMP: the type, and its codes for a port that nobody serves and for "administratively prohibited"."""


async def path_stands(address: str, port: int, seconds: float) -> bool | None:
    """Whether a packet to the IPv4 address and TCP port arrived within that time.

    False: one was refused and none arrived, so what is at the address does not serve the port. None: it cannot be
    known.
    """
    loop = asyncio.get_running_loop()
    until, verdict = loop.time() + seconds, None
    while loop.time() < until:
        met = await _knock(address, port)
        if met:
            return True
        if met is False:
            verdict = False
        await asyncio.sleep(PAUSE_SECONDS)
    return verdict


async def _knock(address: str, port: int) -> bool | None:
    """One SYN: True when it arrived, False when it was refused, None for silence and for what others answer."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        probe.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        met: bool | None = True
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                await loop.sock_connect(probe, (address, port))
        except OSError as refusal:
            met = False if refusal.errno == errno.ECONNREFUSED else None
        code = _icmp_code(probe)
        return met if code is None else {_PROHIBITED: True, _PORT: False}.get(code)


def _icmp_code(probe: socket.socket) -> int | None:
    """Code of the ICMP "unreachable" that a SYN was answered with: one errno stands for several."""
    try:
        _, ancillary, _, _ = probe.recvmsg(0, 512, socket.MSG_ERRQUEUE)
    except BlockingIOError:
        return None
    for _, _, data in ancillary:
        _, origin, kind, code = struct.unpack_from("=IBBB", data)  # sock_extended_err
        if (origin, kind) == (_BY_ICMP, _UNREACHABLE):
            return int(code)
    return None


def own_address(towards: str, port: int) -> str | None:
    """Our source address for packets to an address; None where there is no route. Sends nothing."""
    family = socket.AF_INET6 if ":" in towards else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((towards, port))
        except OSError:
            return None
        return str(probe.getsockname()[0])
