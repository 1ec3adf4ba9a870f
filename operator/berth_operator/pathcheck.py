"""Finds out from outside whether packets to an announced address arrive at the instance (ADR 0004).

The instance's ruleset answers a SYN of ours that no user's rule speaks of with "administratively prohibited". So a
refusal of that kind, or a connection, says that the whole path works; "connection refused" or silence says that it
does not yet, or that it cannot be known.
"""

import asyncio
import errno
import socket
from typing import Final

ATTEMPT_SECONDS: Final = 0.15
"""A SYN that was dropped is sent again by the kernel only after a second; a new attempt is sooner."""
PAUSE_SECONDS: Final = 0.02
ARRIVED: Final = frozenset({0, errno.EHOSTUNREACH, errno.EACCES})


async def path_stands(address: str, port: int, seconds: float) -> bool:
    """Whether a packet to the IPv4 address and TCP port arrived within that time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while loop.time() < until:
        if await _knock(address, port) in ARRIVED:
            return True
        await asyncio.sleep(PAUSE_SECONDS)
    return False


async def _knock(address: str, port: int) -> int | None:
    """One SYN: 0 for a connection, the errno of a refusal, None for silence."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                await loop.sock_connect(probe, (address, port))
        except TimeoutError as silence:
            return silence.errno
        except OSError as refusal:
            return refusal.errno
        return 0


def own_address(towards: str, port: int) -> str | None:
    """Our source address for packets to an address; None where there is no route. Sends nothing."""
    family = socket.AF_INET6 if ":" in towards else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((towards, port))
        except OSError:
            return None
        return str(probe.getsockname()[0])
