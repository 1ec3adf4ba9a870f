"""An HTTP gateway in front of the API server that refuses what it is told to, and tells when a write has gone through.

The API process under test reaches the cluster through it; what it does not refuse is answered by the API server.
"""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import aiohttp
import yaml
from aiohttp import web

Matches = Callable[[str, str], bool]
"""Of a method and a path."""
G = TypeVar("G", bound="Gateway")
HOP_BY_HOP = {"host", "connection", "content-length", "transfer-encoding", "content-encoding"}


class Gateway:
    """Forwards requests; see :func:`gateway`."""

    def __init__(self, server: str, session: aiohttp.ClientSession) -> None:
        self._server = server
        self._session = session
        self._refused: tuple[Matches, web.Response] | None = None
        self._after: tuple[Matches, Callable[[], Awaitable[None]]] | None = None
        self.silent: Matches | None = None
        """Watches that are taken on and then tell nothing: what rests on them stays as it was listed."""
        self.date: str | None = None
        """The `Date` of every answer, in the place of the API server's."""
        self.url = ""
        self.asked: list[str] = []
        """Method and path of each request."""

    @asynccontextmanager
    async def refusing(self, matches: Matches, status: int, body: bytes = b"{}", **headers: str) -> AsyncIterator[None]:
        """Answer what matches so, in the API server's place."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._refused = matches, web.Response(status=status, body=body, headers=named)
        try:
            yield
        finally:
            self._refused = None

    @asynccontextmanager
    async def after(self, matches: Matches, then: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """Once the API server has done what matches, and before its answer goes back, do something, once."""
        self._after = matches, then
        try:
            yield
        finally:
            self._after = None

    def kubeconfig(self, original: Path, path: Path) -> Path:
        """Write a kubeconfig that goes through here."""
        config = yaml.safe_load(original.read_text())
        config["clusters"][0]["cluster"] = {"server": self.url}
        path.write_text(yaml.safe_dump(config))
        return path

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one request."""
        self.asked.append(f"{request.method} {request.path}")
        if self._refused is not None and self._refused[0](request.method, request.path):
            refused = self._refused[1]
            return web.Response(status=refused.status, body=refused.body, headers=refused.headers)
        if self.silent is not None and "watch" in request.query and self.silent(request.method, request.path):
            return await _silence(request)
        async with self.forwarded(request) as answered:
            if self._after is not None and self._after[0](request.method, request.path):
                (_, then), self._after = self._after, None
                await then()
            response = await begun(request, answered, self.date)
            async for chunk in answered.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    @asynccontextmanager
    async def forwarded(self, request: web.Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request on to the API server: what it answers, not passed back yet."""
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        body = await request.read()
        async with self._session.request(
            request.method, self._server + request.raw_path, headers=headers, data=body or None
        ) as answered:
            yield answered


async def begun(request: web.Request, answered: aiohttp.ClientResponse, date: str | None = None) -> web.StreamResponse:
    """Pass the head of an answer back, with another `Date` where one is given; its body follows."""
    kept = {name: value for name, value in answered.headers.items() if name.lower() not in HOP_BY_HOP}
    if date is not None:
        kept["Date"] = date
    response = web.StreamResponse(status=answered.status, headers=kept)
    await response.prepare(request)
    return response


async def _silence(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await asyncio.Event().wait()  # until the gateway is shut down
    return response


@asynccontextmanager
async def gateway(kubeconfig: Path) -> AsyncIterator[Gateway]:
    """Run a gateway to the API server of a kubeconfig."""
    async with serving(kubeconfig, Gateway) as running:
        yield running


@asynccontextmanager
async def serving(kubeconfig: Path, make: Callable[[str, aiohttp.ClientSession], G]) -> AsyncIterator[G]:
    """Run a gateway of some sort to the API server of a kubeconfig."""
    server, context = _target(kubeconfig)
    connector = aiohttp.TCPConnector(ssl=context, limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        running = make(server, session)
        application = web.Application(client_max_size=8 * 2**20)
        application.router.add_route("*", "/{path:.*}", running.handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        running.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield running
        finally:
            await asyncio.wait_for(runner.cleanup(), 10)


def _target(kubeconfig: Path) -> tuple[str, ssl.SSLContext]:
    cluster = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
    given = cluster.get("certificate-authority-data")
    authority = base64.b64decode(given).decode() if given else Path(cluster["certificate-authority"]).read_text()
    return cluster["server"], ssl.create_default_context(cadata=authority)
