"""Listening with TLS: connections count from their acceptance, and must finish the handshake within a time.

The event loop's own server tells of a connection only after its handshake, so it does not count unfinished ones.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

import structlog
import uvloop

from berth_api.http.protocol import Protocol

log = structlog.get_logger(__name__)

HANDSHAKE_SECONDS: Final = 3.0
"""How long a client may take for the TLS handshake."""
GOODBYE_SECONDS: Final = 2.0
"""How long an ended connection waits for the client's own end, so that silent clients do not delay a shutdown."""
AT_A_TIME: Final = 64
"""Connections that are accepted before other tasks have their turn."""
PAUSE_SECONDS: Final = 1.0
"""Pause in accepting when the process has no descriptor left."""


class Loop(uvloop.Loop):
    """An event loop that listens with TLS by a Listener. The server has no setting for that."""

    async def create_server(self, *arguments: Any, **settings: Any) -> Any:
        """Listen."""
        if settings.get("ssl") is None:
            return await super().create_server(*arguments, **settings)
        address = settings["host"], settings["port"]
        family = socket.AF_INET6 if ":" in settings["host"] else socket.AF_INET
        listens = socket.create_server(address, family=family, backlog=settings["backlog"])
        return Listener(arguments[0], settings["ssl"], listens)


class Listener:
    """A server: accepts connections, counts them, and starts their TLS handshakes."""

    def __init__(self, factory: Callable[[], Protocol], context: ssl.SSLContext, listens: socket.socket) -> None:
        """Begin."""
        listens.setblocking(False)
        self.sockets = (listens,)
        self._factory = factory
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._listen()

    def close(self) -> None:
        """Accept no more; connections go on."""
        if self._pause is not None:
            self._pause.cancel()
        (listens,) = self.sockets
        self._loop.remove_reader(listens)
        listens.close()

    async def wait_closed(self) -> None:
        """Return at once: the owner of the set of connections waits for them."""

    def _listen(self) -> None:
        self._loop.add_reader(self.sockets[0], self._accept)

    def _accept(self) -> None:
        (listens,) = self.sockets
        for _ in range(AT_A_TIME):
            try:
                accepted, _ = listens.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error("accepts no connection for a moment", error=str(error))
                self._loop.remove_reader(listens)
                self._pause = self._loop.call_later(PAUSE_SECONDS, self._listen)
                return
            accepted.setblocking(False)
            protocol = self._factory()
            task = self._loop.create_task(self._agree(protocol, accepted))
            self._tasks.add(task)
            task.add_done_callback(partial(self._agreed, protocol, accepted))
            # Where no room can be made, this one stays in excess until it is refused by TLS, or another one comes.
            protocol.enter(task.cancel)
            protocol.make_room()

    async def _agree(self, protocol: Protocol, accepted: socket.socket) -> None:
        with suppress(OSError):  # too slow, gone, or without a common TLS setting
            await self._loop.connect_accepted_socket(
                lambda: protocol,
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=GOODBYE_SECONDS,
            )

    def _agreed(self, protocol: Protocol, accepted: socket.socket, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not protocol.is_open:
            protocol.leave()
            accepted.close()
