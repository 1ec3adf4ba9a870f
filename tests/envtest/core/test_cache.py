"""The list-and-watch cache: events, indexes, and lists again when the API server has forgotten."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from berth_core.kube import client as client_module
from berth_core.kube.cache import Cache, Key
from berth_core.kube.client import Client
from berth_core.kube.connection import connected
from berth_core.kube.errors import ForbiddenError, GoneError, UnavailableError
from berth_core.kube.reflector import Reflector
from berth_core.kube.types import Object, WatchEvent
from berth_core.resources import WorkspaceDeployment
from berth_dev.envtest import apiserver as tiers
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import apply_crds, make_namespaces
from berth_dev.processes import Identity

from .objects import create, patch
from .proxy import Proxy

DEPLOYMENTS = WorkspaceDeployment.api()
SECONDS = 60.0


@dataclass(frozen=True)
class Own:
    """An API server, a client straight to it, and one through a proxy."""

    server: ApiServer
    direct: Client
    proxied: Client
    proxy: Proxy
    namespace: str


class Follower:
    """A running reflector, its cache, and what that told."""

    def __init__(self, reflector: Reflector[Object]) -> None:
        self.reflector, self.cache = reflector, reflector.cache
        self.told: list[tuple[Key, bool]] = []
        self._changed = asyncio.Event()
        self.cache.listen(self._tell)

    def _tell(self, key: Key, _: Object | None, obj: Object | None) -> None:
        self.told.append((key, obj is not None))
        self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, looking after each change only."""
        async with asyncio.timeout(SECONDS):
            while not holds():
                await self._changed.wait()
                self._changed.clear()

    def names(self) -> set[str]:
        return {obj["metadata"]["name"] for obj in self.cache}


@asynccontextmanager
async def following(client: Client, *namespaces: str) -> AsyncIterator[Follower]:
    indexes = {"type": lambda obj: [obj["spec"]["type"]], "region": lambda obj: [obj["spec"].get("region") or "none"]}
    follower = Follower(Reflector(client, DEPLOYMENTS, namespaces, Cache(whole, indexes)))
    task = asyncio.create_task(follower.reflector.run())
    try:
        async with asyncio.timeout(SECONDS):
            await follower.reflector.synced()
        yield follower
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_it_has_what_was_there_and_what_comes(client: Client, namespace: str) -> None:
    await create(client, namespace, WorkspaceDeployment, "before")
    async with following(client, namespace) as follower:
        assert follower.reflector.is_synced
        assert follower.names() == {"before"}
        await create(client, namespace, WorkspaceDeployment, "after")
        await follower.until(lambda: follower.names() == {"before", "after"})
        await client.delete(DEPLOYMENTS, namespace, "before")
        await follower.until(lambda: follower.names() == {"after"})
        assert follower.cache.get(namespace, "before") is None
        assert len(follower.cache) == 1
        assert follower.told == [
            ((namespace, "before"), True),
            ((namespace, "after"), True),
            ((namespace, "before"), False),
        ]


async def test_indexes_follow_changes(client: Client, namespace: str) -> None:
    made = await create(client, namespace, WorkspaceDeployment, "one", region="lab-a")
    async with following(client, namespace) as follower:
        assert [obj["metadata"]["name"] for obj in follower.cache.by("region", "lab-a")] == ["one"]
        await patch(client, made, WorkspaceDeployment, {"spec": {"region": "lab-b"}})
        await follower.until(lambda: bool(follower.cache.by("region", "lab-b")))
        assert follower.cache.by("region", "lab-a") == []
        assert len(follower.cache.by("type", "misty")) == 1
        await client.delete(DEPLOYMENTS, namespace, "one")
        await follower.until(lambda: not follower.cache.by("type", "misty"))


async def test_it_follows_several_namespaces_and_no_other(client: Client, apiserver: ApiServer) -> None:
    one, two, other = (make_namespaces(apiserver).workspaces for _ in range(3))
    async with following(client, one, two) as follower:
        await create(client, other, WorkspaceDeployment, "other")
        await create(client, one, WorkspaceDeployment, "one")
        await create(client, two, WorkspaceDeployment, "two")
        await follower.until(lambda: follower.names() == {"one", "two"})


async def test_all_but_bookkeeping_is_kept(client: Client, namespace: str) -> None:
    kubectl = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "berth.dev/test": "kept"}
    body = {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "WorkspaceDeployment",
        "metadata": {"name": "one", "namespace": namespace, "annotations": kubectl},
        "spec": {"type": "misty"},
    }
    await client.create(DEPLOYMENTS, namespace, body)
    async with following(client, namespace) as follower:
        held = follower.cache.get(namespace, "one")
        assert held is not None
        assert held["spec"]["type"] == "misty"
        assert "managedFields" not in held["metadata"]
        assert held["metadata"]["annotations"] == {"berth.dev/test": "kept"}


async def test_a_list_of_several_pages_arrives_whole(
    client: Client, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PAGE_SIZE", 2)
    names = {f"wd-{number}" for number in range(5)}
    for name in sorted(names):
        await create(client, namespace, WorkspaceDeployment, name)
    pages = [[obj["metadata"]["name"] for obj in page] async for page, _ in client.pages(DEPLOYMENTS, namespace)]
    assert [len(page) for page in pages] == [2, 2, 1]
    async with following(client, namespace) as follower:
        assert follower.names() == names
        await create(client, namespace, WorkspaceDeployment, "after")
        await follower.until(lambda: "after" in follower.names())
        assert len(follower.told) == len(names) + 1


async def test_objects_of_all_sizes_arrive_whole(client: Client, namespace: str) -> None:
    async with following(client, namespace) as follower:
        text = "é" * 4096
        await create(client, namespace, WorkspaceDeployment, "large", description=text, owners=["o" * 253] * 64)
        await follower.until(lambda: "large" in follower.names())
        held = follower.cache.get(namespace, "large")
        assert held is not None
        assert held["spec"]["description"] == text


@asynccontextmanager
async def reached(server: ApiServer, folder: Path) -> AsyncIterator[Own]:
    """An API server, and a way there that may be cut."""
    async with (
        Proxy(server.url) as proxy,
        connected("berth-test", str(server.kubeconfig)) as direct,
        connected("berth-test", str(proxy.kubeconfig(server.kubeconfig, folder / "proxied"))) as proxied,
    ):
        yield Own(server, direct, proxied, proxy, make_namespaces(server).workspaces)


@pytest.fixture
async def own(apiserver: ApiServer, tmp_path: Path) -> AsyncIterator[Own]:
    async with reached(apiserver, tmp_path) as made:
        yield made


@pytest.fixture
async def mortal(tmp_path: Path) -> AsyncIterator[Own]:
    """An API server of the test's own, which it may crash."""
    with tiers.running(tmp_path / "apiserver") as server:
        apply_crds(server)
        async with reached(server, tmp_path) as made:
            yield made


async def test_what_was_missed_is_made_up_for(own: Own) -> None:
    """The watch breaks, and goes on from where it was."""
    await create(own.direct, own.namespace, WorkspaceDeployment, "goes")
    async with following(own.proxied, own.namespace) as follower:
        own.proxy.cut()
        await own.direct.delete(DEPLOYMENTS, own.namespace, "goes")
        await create(own.direct, own.namespace, WorkspaceDeployment, "comes")
        own.proxy.mend()
        await follower.until(lambda: follower.names() == {"comes"})


async def test_a_broken_watch_is_known_to_be_broken(own: Own) -> None:
    loop = asyncio.get_running_loop()
    async with following(own.proxied, own.namespace) as follower:
        assert follower.reflector.broken_for(loop.time()) == 0.0
        own.proxy.cut()
        await until(lambda: follower.reflector.broken_for(loop.time()) > 0.0)
        own.proxy.mend()
        await create(own.direct, own.namespace, WorkspaceDeployment, "comes")
        await follower.until(lambda: follower.names() == {"comes"})
        assert follower.reflector.broken_for(loop.time()) == 0.0


async def test_attempts_that_fail_do_not_make_the_break_look_new(own: Own) -> None:
    loop = asyncio.get_running_loop()
    async with following(own.proxied, own.namespace) as follower:
        own.proxy.cut()
        await until(lambda: follower.reflector.broken_for(loop.time()) > 0.0)
        now = loop.time()
        begun = now - follower.reflector.broken_for(now)
        attempts = own.proxy.refused
        await until(lambda: own.proxy.refused >= attempts + 3)
        now = loop.time()
        assert follower.reflector.broken_for(now) == pytest.approx(now - begun, abs=0.01)
        own.proxy.mend()
        await until(lambda: follower.reflector.broken_for(loop.time()) == 0.0)


async def test_a_watch_that_has_ended_is_broken_until_the_next_one_stands(
    own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers end watches in good order, and the next one may get nowhere."""
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(client_module, "WATCH_SECONDS", 2)
    async with following(own.proxied, own.namespace) as follower:
        await until(lambda: follower.reflector.broken_for(loop.time()) > 0.0)
        own.proxy.hush()
        await until(lambda: follower.reflector.broken_for(loop.time()) > 0.5)
        own.proxy.speak()
        await until(lambda: follower.reflector.broken_for(loop.time()) == 0.0)


async def test_a_watch_that_is_not_taken_on_fails(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server says nothing while nothing happens, but it says at once that it watches."""
    _, version = await own.proxied.list(DEPLOYMENTS, own.namespace)
    monkeypatch.setattr(client_module, "REQUEST_SECONDS", 1.0)
    own.proxy.hush()
    async with asyncio.timeout(SECONDS):
        with pytest.raises(UnavailableError):
            await anext(own.proxied.watch(DEPLOYMENTS, own.namespace, version))


@pytest.mark.release(twin="tests/unit/core/test_cache.py")
async def test_when_history_is_gone_it_lists_again_and_reports_what_vanished(mortal: Own) -> None:
    """A new API server has no history: watching from an old version answers 410."""
    await create(mortal.direct, mortal.namespace, WorkspaceDeployment, "goes")
    await create(mortal.direct, mortal.namespace, WorkspaceDeployment, "stays")
    _, version = await mortal.direct.list(DEPLOYMENTS, mortal.namespace)
    async with following(mortal.proxied, mortal.namespace) as follower:
        mortal.proxy.cut()
        await mortal.direct.delete(DEPLOYMENTS, mortal.namespace, "goes")
        await create(mortal.direct, mortal.namespace, WorkspaceDeployment, "comes")
        await crash_apiserver(mortal)
        with pytest.raises(GoneError):
            await anext(mortal.direct.watch(DEPLOYMENTS, mortal.namespace, version))
        mortal.proxy.mend()
        await follower.until(lambda: follower.names() == {"stays", "comes"})
        assert follower.told.count(((mortal.namespace, "goes"), False)) == 1
        assert follower.told.count(((mortal.namespace, "stays"), True)) == 1, "unchanged objects are not told again"


async def test_an_idle_watch_moves_on_with_bookmarks(
    client: Client, apiserver: ApiServer, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without them, an idle namespace's version would grow too old while others write."""
    # The API server sends a bookmark shortly before a watch ends.
    monkeypatch.setattr(client_module, "WATCH_SECONDS", 5)
    elsewhere = make_namespaces(apiserver).workspaces
    _, version = await client.list(DEPLOYMENTS, namespace)

    async def watch() -> list[WatchEvent]:
        async with asyncio.timeout(120):
            # The API server looks once a second whether one is due: where it stalls, a watch ends without any.
            while not (events := [event async for event in client.watch(DEPLOYMENTS, namespace, version)]):
                pass
        return events

    watching = asyncio.create_task(watch())
    while not watching.done():
        await create(client, elsewhere, WorkspaceDeployment)
        await asyncio.wait({watching}, timeout=0.5)
    events = watching.result()
    assert {event.type for event in events} == {"BOOKMARK"}
    assert int(events[-1].object["metadata"]["resourceVersion"]) > int(version)


async def test_the_end_of_a_watch_is_not_noticed(
    client: Client, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "WATCH_SECONDS", 1)
    async with following(client, namespace) as follower:
        _, version = await client.list(DEPLOYMENTS, namespace)
        async for _ in client.watch(DEPLOYMENTS, namespace, version):
            pass  # as long as the cache's own watch, and a bit more
        await create(client, namespace, WorkspaceDeployment, "late")
        await follower.until(lambda: follower.names() == {"late"})
        assert follower.told == [((namespace, "late"), True)]


def whole(obj: Object) -> Object:
    return obj


async def crash_apiserver(own: Own) -> None:
    """Kill it; its supervisor starts another, which has answered when this returns."""
    running = Identity.load(own.server.kubeconfig.parent / "pids" / "kube-apiserver")
    assert running is not None
    running.send(signal.SIGKILL)
    await until(lambda: not running.alive())
    async with asyncio.timeout(60):
        while True:
            try:
                await own.direct.list(DEPLOYMENTS, own.namespace)
            except (UnavailableError, ForbiddenError):  # it is not ready, nor its roles
                await asyncio.sleep(0.1)
            else:
                return


async def until(holds: Callable[[], bool]) -> None:
    """Look again and again until something holds that nobody reports."""
    async with asyncio.timeout(SECONDS):
        while not holds():  # noqa: ASYNC110 (nothing reports a process's end or a lack of events)
            await asyncio.sleep(0.02)
