"""The real client of the cluster's API, with the connection replaced by the simulated network."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from email.utils import format_datetime
from functools import lru_cache
from typing import Final

from berth_core.kube import errors
from berth_core.kube.answers import from_status, translated
from berth_core.kube.client import JSON_TYPE, REQUEST_SECONDS, WATCH_SECONDS, Client, _at_once
from berth_core.kube.clock import StoreClock
from berth_core.kube.types import PODS, Kind, Object, WatchEvent

from .clocks import utc
from .loops import Loop
from .network import Answered, Feed, Feeds, Network, sent
from .store import Gone, Store
from .wire import Request, Response

BOOKMARK_SECONDS: Final = 60.0
SILENCE_SECONDS: Final = 15.0
"""After so long a watch that is cut off is found dead, at the latest."""


class SimulatedClient(Client):
    """Client of one process. ``before_write`` is asked in the step that sends a write, as by the real one."""

    def __init__(  # the parent's takes a connection, of which there is none
        self,
        loop: Loop,
        store: Store,
        network: Network,
        feeds: Feeds,
        manager: str,
        before_write: Callable[[], None] | None = None,
        clock: StoreClock | None = None,
    ) -> None:
        self.clock = clock or StoreClock()
        self.before_request = _at_once
        self._loop = loop
        self._store = store
        self._network = network
        self._feeds = feeds
        self._manager = manager
        self._before_write = before_write

    async def close(self) -> None:
        """Nothing is open."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON_TYPE,
        accept: str = JSON_TYPE,
    ) -> Object:
        if method != "GET" and body is None:
            raise ValueError("a write has a body: with it goes the check before it is sent")
        await self.before_request()
        await asyncio.sleep(0)
        if self._before_write is not None and method != "GET":
            self._before_write()
        now = self._network.world.now
        request = Request(method, path, query or {}, sent(body), content_type, accept, self._loop.name, now)
        with translated():
            async with asyncio.timeout(REQUEST_SECONDS):
                response = await self._answer(lambda answered: self._network.ask(request, answered))
        if response.status >= 300:
            raise from_status(response.status, response.body, 1.0)
        return response.body

    async def watch(
        self,
        kind: Kind,
        namespace: str | None,
        resource_version: str,
        *,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        opened: Callable[[], None] | None = None,
    ) -> AsyncGenerator[WatchEvent, None]:
        network, version, news = self._network, int(resource_version), asyncio.Event()
        await self._connect()
        feed = Feed(network, lambda: self._loop.call_soon(news.set))
        self._feeds.add(kind.plural, feed)
        ends = self._loop.time() + WATCH_SECONDS * network.world.random.uniform(0.9, 1.0)
        try:
            if opened is not None:
                opened()
            while True:
                try:
                    events = self._store.since(kind.plural, namespace, version, labels, fields)
                except Gone as gone:
                    raise errors.GoneError(str(gone), status=410) from None
                version = self._store.version
                for event in events:
                    yield event
                quiet = min(BOOKMARK_SECONDS * network.world.random.uniform(0.2, 1.0), ends - self._loop.time())
                heard = await _set_within(news, quiet)
                news.clear()
                if network.troubles.cut:
                    await asyncio.sleep(network.world.random.uniform(0.1, SILENCE_SECONDS))
                    raise errors.UnavailableError("the watch broke")
                if self._loop.time() >= ends:
                    return
                if not heard:
                    yield WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})
        finally:
            self._feeds.remove(kind.plural, feed)

    async def pod_log(
        self, namespace: str, pod: str, container: str, *, follow: bool = False, limit_bytes: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        found = await self.request("GET", f"{PODS.path(namespace, pod)}/log", query={"container": container})
        yield found["log"].encode()

    async def server_date(self) -> str:
        with translated():
            async with asyncio.timeout(REQUEST_SECONDS):
                await self._connect()
        return _date(int(self._network.world.now))

    async def _connect(self) -> None:
        """Reach the server and hear of it. Raises UnavailableError."""
        world, network = self._network.world, self._network
        if network.troubles.cut:
            await asyncio.sleep(world.random.uniform(0.01, 5.0))
            raise errors.UnavailableError("the cluster's API cannot be reached")
        await self._answer(lambda answered: world.at(network.delay(), lambda: answered(Response(200, {}), world.now)))

    async def _answer(self, ask: Callable[[Answered], object]) -> Response:
        """Wait for an answer, which tells the store's time as well, as by the real client."""
        future: asyncio.Future[tuple[Response, float]] = self._loop.create_future()
        sent_at = self.clock.steady()

        def settle(response: Response, said_at: float) -> None:
            if not future.done():
                future.set_result((response, said_at))

        ask(lambda response, said_at: self._loop.call_soon(settle, response, said_at))
        response, said_at = await future
        if response.status == 0:
            raise errors.UnavailableError(str(response.body["message"]))
        self.clock.saw(sent_at, _date(int(said_at)), self.clock.steady())
        return response


@lru_cache(1)
def _date(second: int) -> str:
    """Return the ``Date`` header of the server, whose clock is right."""
    return format_datetime(utc(second), usegmt=True)


async def _set_within(news: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        return False
    return True
