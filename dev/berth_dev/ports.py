"""TCP ports for servers on this machine, and other numbers that only one test at a time may have."""

import itertools
import os
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from berth_dev.errors import ClusterError

FIRST, COUNT = 20_000, 10_000
"""Below NodePorts and below what the kernel gives to connections (net.ipv4.ip_local_port_range)."""
_numbers = itertools.count(os.getpid() * 16)
_claims: deque[socket.socket] = deque(maxlen=64)
"""The latest claims only: the server for an older port listens by then, or is gone."""


def free_port() -> int:
    """A port that nothing listens on now, and that this function did not give to others lately.

    The claim is an abstract name of a Unix socket: one process of the network namespace holds it, and it ends with that
    process.
    """
    for port in (FIRST + next(_numbers) % COUNT for _ in range(COUNT)):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0berth-port-{port}")
            with socket.socket() as probe:
                probe.bind(("", port))
        except OSError:
            claim.close()
            continue
        if len(_claims) == _claims.maxlen:
            _claims[0].close()
        _claims.append(claim)
        return port
    raise ClusterError(f"all ports from {FIRST} to {FIRST + COUNT - 1} are taken")


@contextmanager
def closed_port(address: str = "127.0.0.1") -> Iterator[int]:
    """Give a port that refuses connections and is nobody else's meanwhile: a socket holds it without listening."""
    with socket.socket() as held:
        held.bind((address, 0))
        port: int = held.getsockname()[1]
        yield port


@contextmanager
def claimed(kind: str, count: int) -> Iterator[int]:
    """Give a number below ``count`` that nobody else has meanwhile; its claim is as a port's."""
    for number in (next(_numbers) % count for _ in range(count)):
        with socket.socket(socket.AF_UNIX) as claim:
            try:
                claim.bind(f"\0berth-{kind}-{number}")
            except OSError:
                continue
            yield number
            return
    raise ClusterError(f"all {count} numbers of the kind {kind} are taken")
