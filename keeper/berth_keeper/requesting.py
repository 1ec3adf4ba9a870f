"""Works a relay over HTTP, one request at a time."""

import socket
from ipaddress import ip_address
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from berth_core.machines.reach import Networks, why_refused
from berth_keeper import outcome
from berth_keeper.outcome import Outcome
from berth_keeper.secret import STATE
from berth_keeper.templates import HttpRelay, Request, Target

CONNECT_SECONDS: Final = 5.0
MOST_BYTES: Final = 64 * 1024
"""Of an answer's body; no more is read."""
MOST_HEADER_BYTES: Final = 8190


class AddressRefusedError(Exception):
    """No connection is made to an address."""


async def order(relay: HttpRelay, do: str, networks: Networks) -> Outcome | None:
    """Have a relay do something; return the failure, None for success."""
    answer = await _answer(relay.requests[do], relay.targets[do], relay, networks)
    return answer if isinstance(answer, Outcome) else None


async def look(relay: HttpRelay, networks: Networks) -> Outcome | bool | None:
    """Return whether power is on, None where the relay does not say so, or the failure."""
    if relay.state is None:
        return None
    answer = await _answer(relay.state, relay.targets[STATE], relay, networks)
    return answer if isinstance(answer, Outcome) else outcome.of_state(answer, relay.state.on, relay.state.off)


async def _answer(request: Request, target: Target, relay: HttpRelay, networks: Networks) -> Outcome | str:
    """Return the body of an answer that is a success, or the failure."""
    try:
        status, body = await _ask(request, target, relay, networks)
    except AddressRefusedError as error:
        return Outcome(outcome.UNREACHABLE, str(error))
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError):
        return Outcome(outcome.TLS_FAILED, "the relay's certificate does not verify by ca.crt, or TLS failed otherwise")
    except aiohttp.ServerTimeoutError:
        return Outcome(outcome.UNREACHABLE, "no connection to the relay came about in time")
    except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
        return Outcome(outcome.UNREACHABLE, "no connection to the relay, or it ended before an answer")
    except (aiohttp.ClientError, ValueError):
        return Outcome(outcome.BAD_ANSWER, "the relay's answer is not valid HTTP")
    return outcome.of_status(status) or body


async def _ask(request: Request, target: Target, relay: HttpRelay, networks: Networks) -> tuple[int, str]:
    """Return status and body of an answer. Redirects are not followed, and no cookie is kept."""
    async with aiohttp.ClientSession(
        connector=_connector(target, relay, networks),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        read_bufsize=MOST_BYTES,
        max_line_size=MOST_HEADER_BYTES,
        max_field_size=MOST_HEADER_BYTES,
    ) as session:
        headers = {"Accept-Encoding": "identity", "User-Agent": "berth-keeper"} | request.headers
        body = request.body.encode() or None
        async with session.request(
            request.method, target.url, headers=headers, data=body, allow_redirects=False
        ) as answer:
            return answer.status, await _text(answer)


async def _text(answer: aiohttp.ClientResponse) -> str:
    read = bytearray()
    async for chunk in answer.content.iter_any():
        read += chunk
        if len(read) >= MOST_BYTES:
            break
    return bytes(read[:MOST_BYTES]).decode(errors="replace")


class _Fixed(AbstractResolver):
    """Answers with the target's address, whatever is asked for: no name is ever looked up."""

    def __init__(self, target: Target) -> None:
        self._target = target

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the address."""
        del family
        address = self._target.address
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
        ]

    async def close(self) -> None:
        """Nothing is open."""


def _connector(target: Target, relay: HttpRelay, networks: Networks) -> aiohttp.TCPConnector:
    """Make a connector that connects to the target's address and no other, once that was checked again."""

    def checked_socket(address_info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, sockaddr = address_info
        address = ip_address(sockaddr[0])
        if address != target.address or why_refused(address, networks):
            raise AddressRefusedError(f"the relay's address {address} is not connected to")
        return socket.socket(family, kind, protocol)

    return aiohttp.TCPConnector(
        resolver=_Fixed(target),
        use_dns_cache=False,
        socket_factory=checked_socket,
        happy_eyeballs_delay=None,
        ssl=relay.tls if relay.tls is not None else False,
        force_close=True,
        limit=1,
    )
