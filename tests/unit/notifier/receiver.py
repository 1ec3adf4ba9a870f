"""A receiver on loopback that keeps what reaches it, and senders that take the resolver's part only."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from berth_core.resources import DeliverySpec
from berth_notifier import connecting
from berth_notifier.addresses import Policy
from berth_notifier.connecting import Lookup
from berth_notifier.sending import Sender
from berth_notifier.signing import Keys
from berth_notifier.tokens import Token, TokenError

PEM = Ed25519PrivateKey.generate().private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
KEYS = Keys(PEM, b"m" * 32)
TLS = connecting.verifying(None)
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass
class Receiver:
    """`requests` has the head and body of each; `connections` counts what connected, whatever it said."""

    answer: bytes = OK
    silent: bool = False
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    """Names that TLS asked for."""
    connections: int = 0
    port: int = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(int(line[15:]) for line in head.lower().splitlines() if line.startswith("content-length:"))
            self.requests.append((head, await reader.readexactly(length)))
            if self.silent:
                await reader.read()
            writer.write(self.answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # whoever asks may go at any time
        finally:
            writer.close()


@asynccontextmanager
async def receiving(
    host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, answer: bytes = OK, silent: bool = False
) -> AsyncIterator[Receiver]:
    receiver = Receiver(answer, silent)
    if tls is not None:
        tls.sni_callback = lambda _, name, __: receiver.names.append(name)
    server = await asyncio.start_server(receiver.handle, host, 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()


def zone(names: Mapping[str, Sequence[str]]) -> Lookup:
    """A resolver that knows these names."""

    async def lookup(name: str) -> list[str]:
        if name not in names:
            raise OSError("no such name")
        return list(names[name])

    return lookup


async def no_token(name: str) -> Token:
    """Read a token, where there are none."""
    raise TokenError(f"the Secret {name} is not there")


@asynccontextmanager
async def sending(
    policy: Policy | None = None, lookup: Lookup | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Sender]:
    connector = connecting.connector(policy or Policy(), lookup or zone({}), tls or TLS)
    sender = Sender(connector, lambda: KEYS, no_token, "berth/test")
    try:
        yield sender
    finally:
        await sender.close()


def message(url: str, **fields: str) -> DeliverySpec:
    made = {"payload": '{"a":1}', "id": "msg_1", "user": "alice", "reservation": "r", "instance": "i"} | fields
    return DeliverySpec(url=url, **made)
