"""A played node for leases: kubelet and agents of berth_dev.envtest.puppets, and ports for connections from outside.

No container runs: a pod is reported as running at once, and as ended once it is to be deleted. The operator's probe of
the announced address succeeds: each port of the Service range has a socket that accepts and closes.
"""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import Final

from berth_cli.jobs.keys import ensure_keys
from berth_core.kube.client import Client
from berth_core.kube.types import Kind
from berth_dev.envtest.puppets import Puppets
from berth_dev.envtest.testing import Namespaces

NODE: Final = "played"
ADDRESS: Final = "127.63.0.1"
"""Address of the node's ports."""
FIRST_POD: Final = IPv4Address("127.200.0.1")
PORTS: Final = range(30000, 32768)
"""Ports that the API server gives to Services."""


@asynccontextmanager
async def playing(client: Client, namespaces: Namespaces) -> AsyncIterator[Puppets]:
    """Play a node, and make the objects that an operator needs to begin, for the length of a ``with`` block."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    await client.create(Kind("v1", "serviceaccounts"), namespaces.workspaces, account)
    await ensure_keys(client, namespaces.release, datetime.now(UTC))
    puppets = Puppets(client, namespaces.workspaces, NODE, FIRST_POD)
    _many_files()
    with _doors():
        async with puppets.playing():
            yield puppets


@contextmanager
def _doors() -> Iterator[None]:
    loop, doors = asyncio.get_running_loop(), list[socket.socket]()
    try:
        for port in PORTS:
            door = socket.socket()
            doors.append(door)
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind((ADDRESS, port))
            door.listen()
            door.setblocking(False)
            loop.add_reader(door, _let_in, door)
        yield
    finally:
        for door in doors:
            loop.remove_reader(door)
            door.close()


def _let_in(door: socket.socket) -> None:
    with suppress(BlockingIOError, ConnectionError):  # it has gone already
        door.accept()[0].close()


def _many_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
