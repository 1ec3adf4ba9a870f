"""A relay with an HTTP interface, at an address of its own: processes of Berth refuse loopback."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from berth_dev.cluster.pki import Authority

from ..operator.robot import address


@dataclass
class Relay:
    """A socket with one outlet, which is on at first; ``heard`` has the orders that it got."""

    host: str
    port: int = 0
    scheme: str = "https"
    ca: str = ""
    """Certificate of the authority that signed its own (PEM)."""
    power: str = "on"
    status: int = 200
    """Status of its answers to orders; 0 for none at all."""
    obeys: bool = True
    """Whether it does what it answers."""
    location: str = ""
    heard: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Ends an answer that hangs."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self.scheme}://{self.host}:{self.port}"

    def secret(self, *deployments: str, **more: str) -> dict[str, str]:
        """Data of a Secret that works it."""

        def order(do: str) -> str:
            headers = {"Authorization": "Bearer hunter2"}
            return json.dumps({"method": "POST", "url": f"{self.url}/outlet/{do}", "headers": headers})

        orders = {do: order(do) for do in ("on", "off", "cycle")}
        safe = {"ca.crt": self.ca} if self.scheme == "https" else {"plain": "true"}
        return orders | safe | {"deployments": "\n".join(deployments)} | more

    def state(self) -> str:
        """Value of the key `state`."""
        return json.dumps({"method": "GET", "url": f"{self.url}/state", "on": "ON", "off": "OFF"})

    async def until(self, holds: Callable[[], Any], seconds: float = 20) -> None:
        """Wait until something holds; TimeoutError after so many seconds."""
        async with asyncio.timeout(seconds):
            while not holds():
                self._news.clear()
                await self._news.wait()

    async def order(self, request: web.Request) -> web.Response:
        """Take one order."""
        do = request.match_info["do"]
        self.heard.append(do)
        self.tokens.append(request.headers.get("Authorization", ""))
        self._news.set()
        if self.status == 0:
            await self.released.wait()
        if self.obeys and self.status < 300:
            self.power = "on" if do == "cycle" else do
        self._news.set()
        headers = {"Location": self.location} if self.location else {}
        return web.Response(status=self.status or 200, headers=headers, text="the password is hunter2")

    async def show(self, _: web.Request) -> web.Response:
        """Say whether power is on."""
        return web.Response(text=f"outlet 1: {self.power.upper()}")

    async def report(self, _: web.Request) -> web.Response:
        """Say the same as the relay of docs/how-to/lend/power.md does."""
        return web.json_response(text=f'{{"outlet":3,"power":{int(self.power == "on")}}}')


@asynccontextmanager
async def relay(folder: Path, *, tls: bool = True, names: tuple[str, ...] = ()) -> AsyncIterator[Relay]:
    """A relay that listens; ``names`` are those of its certificate besides its address."""
    async with address() as host:
        made = Relay(host, scheme="https" if tls else "http")
        context = None
        if tls:
            made.ca, context = certificate(folder, host, names)
        app = web.Application()
        app.add_routes([web.post("/outlet{number:(/3)?}/{do}", made.order), web.get("/state", made.show)])
        app.add_routes([web.get("/outlet/3", made.report)])
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, host, 0, ssl_context=context).start()
        made.port = runner.addresses[0][1]
        try:
            yield made
        finally:
            made.released.set()
            await runner.cleanup()


def certificate(folder: Path, host: str, names: tuple[str, ...] = ()) -> tuple[str, ssl.SSLContext]:
    """An authority of its own (PEM), and TLS with a certificate that it signed for a host."""
    pair = Authority(folder, "relays").server("relay", hosts=[host, *names])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    return (folder / "ca.crt").read_text(), context
