"""Plays the nodes for pods of leases, where none runs: a kubelet's reports, and agents that answer like real ones.

A pod is bound, reported as running at an address of its own on loopback, and reported as terminated once it is to be
deleted. Containers before the workspace end with the messages that a test gives them. Each pod has an agent's server
with the certificate from its Secret. No container runs and no packet is filtered.
"""

import asyncio
import base64
import re
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import orjson
from aiohttp import web

from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.errors import ConflictError, NotFoundError
from berth_core.kube.types import Kind, Object
from berth_dev.ports import claimed

PODS: Final = Kind("v1", "pods")
SECRETS: Final = Kind("v1", "secrets")
NODES: Final = Kind("v1", "nodes", namespaced=False)
OURS: Final = {names.MANAGED_BY_LABEL: names.MANAGED_BY}
STAMP: Final = re.compile(r"berth e(\d+) g(\d+) ([0-9a-f]{64})")
AT_ONCE: Final = 32
FIRST: Final = IPv4Address("127.64.0.1")


@contextmanager
def own_addresses() -> Iterator[IPv4Address]:
    """Give the first of 256 addresses on loopback that no other test has meanwhile."""
    with claimed("loopback", 1 << 15) as number:
        yield FIRST + number * 256


@dataclass
class Puppets:
    """One node and the pods on it. ``first`` is the first address; tests side by side take ``own_addresses``.

    Pods of builds and of hooks, in which no agent is, are left to the test.
    """

    client: Client
    namespace: str
    node: str
    first: IPv4Address = FIRST
    binds: bool = True
    """Pods are bound here; else a scheduler does it."""
    states: dict[str, Object] = field(default_factory=dict)
    """The last body that each agent was pushed, by its pod's name."""
    revoked: dict[str, list[str]] = field(default_factory=dict)
    """Clients of the VPN that each agent was last told to refuse, by its pod's name."""
    deleting: dict[str, datetime] = field(default_factory=dict)
    """When each pod was first seen with a deletionTimestamp, by our clock."""
    last_words: dict[str, str] = field(default_factory=dict)
    """Termination messages of containers that end before the workspace starts, by their name."""
    _names: dict[str, str] = field(default_factory=dict)
    """Pods' names by their address."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        """Play the node for the length of a ``with`` block."""
        await self._make_node()
        runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        task = asyncio.create_task(self._run(runner))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await runner.cleanup()

    async def until(self, holds: Callable[[], bool], seconds: float) -> None:
        """Wait until a condition on pushes or pods holds; TimeoutError after so many seconds."""
        async with asyncio.timeout(seconds):
            while not holds():
                self._news.clear()
                await self._news.wait()

    async def _make_node(self) -> None:
        body: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.node}}
        await self.client.create(NODES, None, body)
        ready = {"type": "Ready", "status": "True", "reason": "Played", "lastTransitionTime": _now()}
        status: Object = {"status": {"conditions": [ready]}}
        await self.client.patch(NODES, None, self.node, status, subresource="status")

    async def _run(self, runner: web.AppRunner) -> None:
        """Follow the pods; a pod that changes while it is handled is handled again, maybe beside that."""
        addresses = self._addresses()
        digests: dict[str, str] = {}
        latest: dict[str, Object] = {}
        waiting: asyncio.Queue[str] = asyncio.Queue()

        async def work() -> None:
            while True:
                name = await waiting.get()
                if (pod := latest.pop(name, None)) is None:
                    continue
                if name not in digests and await self._serve(runner, pod, address := str(next(addresses))):
                    digests[name] = address
                await self._play(pod, digests.get(name))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(work())
            async for pod in self._pods():
                if pod["metadata"]["labels"].keys() & {names.BUILD_LABEL, names.HOOK_LABEL}:
                    continue
                name = pod["metadata"]["name"]
                if pod["metadata"].get("deletionTimestamp"):
                    self.deleting.setdefault(name, datetime.now(UTC))
                self._news.set()
                latest[name] = pod
                waiting.put_nowait(name)

    async def _pods(self) -> AsyncIterator[Object]:
        pods, version = await self.client.list(PODS, self.namespace, labels=OURS)
        for pod in pods:
            yield pod
        while True:
            async for event in self.client.watch(PODS, self.namespace, version, labels=OURS):
                version = event.object["metadata"]["resourceVersion"]
                if event.type in ("ADDED", "MODIFIED"):
                    yield event.object

    async def _play(self, pod: Object, address: str | None) -> None:
        """Send a kubelet's next report, if any. A pod whose Secret is not there does not start."""
        name, phase = pod["metadata"]["name"], (pod.get("status") or {}).get("phase")
        try:
            if not pod["spec"].get("nodeName"):
                if self.binds and not pod["metadata"].get("deletionTimestamp"):
                    target = {"apiVersion": "v1", "kind": "Node", "name": self.node}
                    body: Object = {"metadata": {"name": name}, "target": target}
                    await self.client.request("POST", PODS.path(self.namespace, name, "binding"), body=body)
            elif pod["metadata"].get("deletionTimestamp"):
                if phase != "Failed":
                    await self._report(pod, {"phase": "Failed"} | _containers(pod, _TERMINATED))
            elif address is not None and phase not in ("Running", "Failed", "Succeeded"):
                await self.client.get(SECRETS, self.namespace, _secret_of(pod))
                at: Object = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
                running = _containers(pod, {"running": {"startedAt": _now()}}, self.last_words)
                await self._report(pod, at | running)
        except (ConflictError, NotFoundError):  # it has changed or gone meanwhile: its next event is played
            return

    async def _report(self, pod: Object, status: Object) -> None:
        """Report of a pod as it was seen: another task may have reported its end since."""
        metadata = {"resourceVersion": pod["metadata"]["resourceVersion"]}
        body: Object = {"metadata": metadata, "status": status}
        await self.client.patch(PODS, self.namespace, pod["metadata"]["name"], body, subresource="status")

    def _addresses(self) -> Iterator[IPv4Address]:
        address = self.first
        while True:
            yield address
            address += 1

    async def _serve(self, runner: web.AppRunner, pod: Object, address: str) -> bool:
        """Serve as a pod's agent; False where its Secret is not there."""
        try:
            secret = await self.client.get(SECRETS, self.namespace, _secret_of(pod))
        except NotFoundError:  # the lease has ended already
            return False
        self._names[address] = pod["metadata"]["name"]
        await web.TCPSite(runner, address, names.AGENT_PORT, ssl_context=_context(secret["data"])).start()
        return True

    def _app(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.put("/v1/state", self._pushed), web.get("/v1/listening", _listening)])
        app.add_routes([web.put("/v1/vpn", self._refused), web.get("/v1/vpn", _vpn)])
        return app

    async def _pushed(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        stamp = STAMP.search(body["ruleset"])
        if stamp is None:
            return web.json_response({"error": "no stamp"}, status=400)
        self.states[self._pod_of(request)] = body
        self._news.set()
        return web.json_response({"epoch": int(stamp[1]), "generation": int(stamp[2]), "digest": stamp[3]})

    async def _refused(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        self.revoked[self._pod_of(request)] = body["revoked"]
        self._news.set()
        return web.json_response({"epoch": body["epoch"], "revoked": len(body["revoked"]), "ended": 0})

    def _pod_of(self, request: web.Request) -> str:
        if request.transport is None:
            raise web.HTTPServiceUnavailable
        return self._names[request.transport.get_extra_info("sockname")[0]]


def _secret_of(pod: Object) -> str:
    """Name of the Secret that the agent of a pod mounts."""
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    return str(volumes["berth-agent"]["secret"]["secretName"])


_TERMINATED: Final[Object] = {"terminated": {"exitCode": 0, "reason": "Completed"}}


def _containers(pod: Object, state: Object, last_words: Mapping[str, str] = MappingProxyType({})) -> Object:
    """Report all containers in one state; those that end before the others begin, with their termination messages."""

    def of(group: str, one: Object) -> Object:
        if group == "containers" or one.get("restartPolicy") == "Always" or "terminated" in state:
            return state
        return {"terminated": _TERMINATED["terminated"] | {"message": last_words.get(one["name"], "")}}

    def shown(group: str) -> list[Object]:
        return [
            {
                "name": one["name"],
                "image": one["image"],
                "imageID": "",
                "restartCount": 0,
                "ready": True,
                "state": of(group, one),
            }
            for one in pod["spec"].get(group) or ()
        ]

    return {"initContainerStatuses": shown("initContainers"), "containerStatuses": shown("containers")}


async def _listening(_request: web.Request) -> web.Response:
    return web.json_response({"listening": True})


async def _vpn(_request: web.Request) -> web.Response:
    return web.json_response({"ready": True, "problem": ""})


def _context(data: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=base64.b64decode(data["ca.crt"]).decode())
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(base64.b64decode(data["tls.crt"]) + base64.b64decode(data["tls.key"]))
        file.flush()
        context.load_cert_chain(Path(file.name))
    return context


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
