"""The agent's HTTPS server.

Where no NetworkPolicy is enforced the port is open to the whole pod network, so strangers are kept cheap: few
connections, few seconds for the handshake, and when the places are taken the oldest client that has not shown the
operator's certificate makes room. A client that has shown it gets more time and may keep the connection.
"""

import errno
import socket
import ssl
import time
from collections.abc import Coroutine
from typing import Any, Final

from berth_agent import identity, log, wire
from berth_agent.connection import Connection
from berth_agent.loop import Loop, pause, readable
from berth_agent.routes import Routes
from berth_agent.wire import HTTPError

MAX_CONNECTIONS: Final = 16
_FOREVER: Final = float("inf")
_RESPITE: Final = 0.1
"""Seconds before the next accept when the kernel had no file descriptor or memory for one."""


def listen(port: int) -> socket.socket:
    """Bind the port on all addresses, IPv6 where the kernel has it; OSError when it is taken."""
    try:
        server = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        address = "::"
    except OSError as exc:
        if exc.errno != errno.EAFNOSUPPORT:
            raise
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        address = "0.0.0.0"  # noqa: S104 (the operator comes over the pod network)
    # A killed agent's connections in TIME_WAIT must not keep the next one out; a listening socket still does.
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    server.listen(64)
    server.setblocking(False)
    return server


class Server:
    """Accepts connections and answers them, one step at a time on one loop."""

    def __init__(
        self,
        *,
        listener: socket.socket,
        context: ssl.SSLContext,
        routes: Routes,
        beside: Coroutine[Any, None, None] | None = None,
    ) -> None:
        self._listener = listener
        self._context = context
        self._routes = routes
        self._beside = beside
        self._loop = Loop()
        self._clients: dict[Connection, None] = {}

    def run(self) -> None:
        """Serve for ever."""
        self._loop.spawn(self._accept())
        if self._beside is not None:
            self._loop.spawn(self._beside)
        self._loop.run()

    async def _accept(self) -> None:
        while True:
            await readable(self._listener, _FOREVER)
            try:
                sock, _ = self._listener.accept()
            except OSError as exc:
                log.limited("accept failed", "warning", message=str(exc))
                await pause(time.monotonic() + _RESPITE)
                continue
            if len(self._clients) >= MAX_CONNECTIONS and not self._make_room():
                sock.close()
                continue
            client = Connection(sock)
            self._clients[client] = None
            client.task = self._loop.spawn(self._serve(client))

    def _make_room(self) -> bool:
        """End the oldest stranger, else the operator's oldest connection without a request; whether one was found."""
        for unwanted in (lambda client: not client.known, lambda client: client.idle):
            for client in self._clients:
                if unwanted(client) and client.task is not None:
                    log.limited("connection ended", "warning", reason="places taken", known=client.known)
                    self._loop.cancel(client.task)
                    return True
        return False

    async def _serve(self, client: Connection) -> None:
        """Serve one client to its end. Whatever goes wrong with it ends its connection and nothing else."""
        try:
            tls = await client.handshake(self._context)
            client.known = identity.is_operator(tls)
            if client.known:
                while await self._exchange(client):
                    continue
            else:
                await client.send(wire.render(403, {"error": "only the operator is served here"}, keep=False))
                await client.linger()
        except (TimeoutError, OSError) as exc:
            log.limited("connection ended", reason=str(exc) or type(exc).__name__, known=client.known)
        finally:
            client.close()
            self._clients.pop(client, None)

    async def _exchange(self, client: Connection) -> bool:
        """Answer one request; whether another may follow."""
        keep = False
        try:
            head = await client.read_head()
            if head is None:
                return False
            request = wire.parse_head(head)
            body = await client.read_body(request)
            keep = request.keep
            status, fields = 200, await self._routes.answer(request, body)
        except HTTPError as exc:
            status, fields = exc.status, exc.fields
        except (TimeoutError, ConnectionError):
            raise
        except Exception as exc:  # the boundary of the HTTP process: one request fails, the guard stays
            log.event("request failed", "error", kind=type(exc).__name__, message=str(exc))
            status, fields = 500, {"error": "internal error"}
        await client.send(wire.render(status, fields, keep=keep))
        if not keep:
            await client.linger()
        return keep
