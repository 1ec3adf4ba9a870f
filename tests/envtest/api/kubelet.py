"""The part of a kubelet that hands out logs, played: what containers print, the tests say.

The API server asks it over TLS, as it asks any kubelet, so what the API process reads comes the real way. Real
kubelets are in tests/e2e.
"""

import asyncio
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from berth_core import names
from berth_core.kube.types import Kind, Object
from berth_dev.envtest.apiserver import ApiServer

from .world import World

PODS = Kind("v1", "pods")
ACCOUNTS = Kind("v1", "serviceaccounts")
NODES = Kind("v1", "nodes", namespaced=False)
Place = tuple[str, str]
"""Pod and container."""


@dataclass
class Printed:
    """Output of a container."""

    data: bytes = b""
    ended: bool = False
    broken: int = 0
    """How often its streams were broken off."""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def changed(self) -> None:
        """Wake the streams."""
        self.news.set()
        self.news = asyncio.Event()


@dataclass
class Kubelet:
    """A node whose containers only print. Make it with :func:`playing`."""

    world: World
    node: str
    streams: int = 0
    """That are open."""
    _printed: defaultdict[Place, Printed] = field(default_factory=lambda: defaultdict(Printed))
    _states: dict[str, dict[str, str]] = field(default_factory=dict)
    _counted: asyncio.Event = field(default_factory=asyncio.Event)

    async def pod(self, jid: str, step: str, *, attempt: int = 1) -> str:
        """Make the pod of a build's Job, with nothing running; its name."""
        job = names.build_job(jid, attempt, step)
        name, space = f"{job}-x", self.world.namespaces.workspaces
        inits, mains = {"fetch": ([], ["fetch"]), "run": (["checkout"], ["script", "artifacts"])}[step]
        body: Object = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": space,
                "labels": {names.BUILD_LABEL: jid, "batch.kubernetes.io/job-name": job},
            },
            "spec": {
                "nodeName": self.node,
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 0,
                "initContainers": [{"name": one, "image": "x.invalid/x:1"} for one in inits],
                "containers": [{"name": one, "image": "x.invalid/x:1"} for one in mains],
            },
        }
        await self.world.client.create(PODS, space, body)
        self._states[name] = dict.fromkeys([*inits, *mains], "waiting")
        return name

    async def run(self, pod: str, container: str) -> None:
        """Let a container begin."""
        await self._set(pod, container, "running")

    def say(self, pod: str, container: str, text: str) -> None:
        """Let a container print."""
        printed = self._printed[pod, container]
        printed.data += text.encode()
        printed.changed()

    async def end(self, pod: str, container: str) -> None:
        """Let a container end."""
        self._printed[pod, container].ended = True
        self._printed[pod, container].changed()
        await self._set(pod, container, "terminated")

    def break_off(self, pod: str, container: str) -> None:
        """Break the streams of a container."""
        self._printed[pod, container].broken += 1
        self._printed[pod, container].changed()

    async def delete(self, pod: str) -> None:
        """Let a pod be gone."""
        await self.world.client.delete(PODS, self.world.namespaces.workspaces, pod, grace_seconds=0)

    async def streaming(self, number: int) -> None:
        """Wait until so many streams are open."""
        async with asyncio.timeout(60):
            while self.streams != number:
                await self._counted.wait()

    def _count(self, change: int) -> None:
        self.streams += change
        self._counted.set()
        self._counted = asyncio.Event()

    async def _set(self, pod: str, container: str, state: str) -> None:
        self._states[pod][container] = state
        shown: dict[str, list[Any]] = {"initContainerStatuses": [], "containerStatuses": []}
        for name, now in self._states[pod].items():
            one = {"name": name, "ready": False, "restartCount": 0, "image": "x", "imageID": "x"}
            details: Object = {"exitCode": 0} if now == "terminated" else {}
            kind = "initContainerStatuses" if name == "checkout" else "containerStatuses"
            shown[kind].append(one | {"state": {now: details}})
        space = self.world.namespaces.workspaces
        await self.world.client.patch(PODS, space, pod, {"status": shown}, subresource="status")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer with a log."""
        printed = self._printed[request.match_info["pod"], request.match_info["container"]]
        follow = request.query.get("follow") == "true"
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        sent, broken = 0, printed.broken
        self._count(1)
        try:
            while True:
                news = printed.news
                await response.write(printed.data[sent:])
                sent = len(printed.data)
                if not follow or printed.ended or printed.broken != broken:
                    return response
                await news.wait()
        finally:
            self._count(-1)


@asynccontextmanager
async def playing(world: World, server: ApiServer, node: str = "played") -> AsyncIterator[Kubelet]:
    """Play a node for the length of a `with` block."""
    kubelet = Kubelet(world, node)
    app = web.Application()
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", kubelet.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # The API server's own certificate is for this address, too.
    pki = server.kubeconfig.parent / "pki"
    tls.load_cert_chain(pki / "kube-apiserver.crt", pki / "kube-apiserver.key")
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    port = runner.addresses[0][1]
    # Nobody else makes it: no controllers run here.
    account: Object = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    await world.client.create(ACCOUNTS, world.namespaces.workspaces, account)
    body: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}}
    await world.client.create(NODES, None, body)
    status: Object = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    await world.client.patch(NODES, None, node, {"status": status}, subresource="status")
    try:
        yield kubelet
    finally:
        await world.client.delete(NODES, None, node)
        await runner.cleanup()
