"""Connections that go to checked addresses only.

A name is resolved once for each attempt. Every address of the answer is checked, and the connection is made to one of
them and no other; the socket itself is made only after the address that it will be connected to was checked again, so
that addresses written in a URL pass the same gate. TLS and the Host header use the name.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from berth_notifier.addresses import Policy

Lookup = Callable[[str], Awaitable[list[str]]]
"""A name's addresses, as text. Raises OSError where it has none."""


class AddressRefusedError(Exception):
    """Nothing may be sent to an address; the message says why."""


class SystemLookup:
    """The system's resolver, in threads of its own: names that take long must not hold up anything else."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="lookup")

    async def __call__(self, name: str) -> list[str]:
        """Ask for all addresses of an absolute name. Raises OSError where it has none."""
        # The dot makes the name absolute: no search list turns it into a name of the cluster.
        ask = partial(socket.getaddrinfo, f"{name}.", None, type=socket.SOCK_STREAM)
        addresses = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in addresses))

    def close(self) -> None:
        """Let the threads end; what they still ask for is forgotten."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Resolver(AbstractResolver):
    def __init__(self, lookup: Lookup, policy: Policy) -> None:
        self._lookup = lookup
        self._policy = policy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return all addresses of a name. Raises AddressRefusedError where one of them is refused."""
        addresses = [ip_address(text) for text in await self._lookup(host)]
        if not addresses:
            raise OSError("the name has no address")
        for address in addresses:
            if (why := self._policy.refusal(address)) is not None:
                raise AddressRefusedError(f"the name of the receiver leads to {address}: {why}")
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in addresses
            if family in (socket.AF_UNSPEC, socket.AF_INET if address.version == 4 else socket.AF_INET6)
        ]

    async def close(self) -> None:
        """Nothing is open."""


def connector(policy: Policy, lookup: Lookup, tls: ssl.SSLContext) -> aiohttp.TCPConnector:
    """Make a connector that connects to addresses that the policy has no objection to, each time anew."""

    def checked_socket(address_info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, sockaddr = address_info
        address = ip_address(sockaddr[0])
        if (why := policy.refusal(address)) is not None:
            raise AddressRefusedError(f"the receiver's address is {address}: {why}")
        return socket.socket(family, kind, protocol)

    return aiohttp.TCPConnector(
        resolver=_Resolver(lookup, policy),
        use_dns_cache=False,
        socket_factory=checked_socket,
        happy_eyeballs_delay=None,
        ssl=tls,
        force_close=True,
        limit=0,
    )


def verifying(ca_file: Path | None) -> ssl.SSLContext:
    """TLS that verifies certificates against the system's authorities, and those of a file (PEM) besides.

    Raises OSError or ssl.SSLError where the file cannot be used.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        context.load_verify_locations(cafile=str(ca_file))
    return context
