"""A node of a test's own: its kubelet is played here, the firewall agent in its one pod is the real one.

The pod's network namespace is on a veth pair whose other end is in ours, where the operator runs. One pod runs at a
time, always at the same address; a rule there sends node ports to port 22, as kube-proxy does.
"""

import asyncio
import base64
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.errors import ConflictError, NotFoundError
from berth_core.kube.types import Kind, Object
from berth_dev.paths import REPOSITORY
from berth_dev.ports import claimed
from berth_operator.instances.manifests.pod import CLOSED

from ..envtest.agent.netns import NetNS, sh
from ..envtest.operator.builds import COMMIT

NODES = Kind("v1", "nodes", namespaced=False)
PODS = Kind("v1", "pods")
SECRETS = Kind("v1", "secrets")
NET = int(IPv4Address("198.19.0.0"))
CLONED = json.dumps({"commit": COMMIT})
"""Last words of what clones a repository."""
_DONE: Final[Object] = {"terminated": {"exitCode": 0}, "running": None}
NODE_PORTS = """table ip ports {
  chain prerouting { type nat hook prerouting priority dstnat; tcp dport 30000-32767 redirect to :22; }
}
"""


class Machine:
    """See the module; made by :func:`machine`."""

    def __init__(self, client: Client, namespace: str, folder: Path, number: int) -> None:
        self._client, self._namespace, self._folder = client, namespace, folder
        self.name = f"node-{namespace}"
        self.host, self.ip = str(IPv4Address(NET + number * 4 + 1)), str(IPv4Address(NET + number * 4 + 2))
        self._link = f"berth-f{number}"
        self._netns = NetNS(self._link)
        self._agent: subprocess.Popen[bytes] | None = None
        self._sshd: socket.socket | None = None
        self._runs = ""
        sh("ip", "link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", self._link)
        sh("ip", "addr", "add", f"{self.host}/30", "dev", self._link)
        sh("ip", "link", "set", self._link, "up")
        self._netns.sh("ip", "addr", "add", f"{self.ip}/30", "dev", "eth0")
        self._netns.sh("ip", "link", "set", "eth0", "up")

    async def join(self) -> None:
        """Become a node of the cluster, Ready."""
        node: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.name}}
        await self._client.create(NODES, None, node)
        status: Object = {
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": self.ip}],
        }
        await self._client.patch(NODES, None, self.name, {"status": status}, subresource="status")

    async def run(self) -> None:
        """Be scheduler and kubelet, until cancelled."""
        pods, version = await self._client.list(PODS, self._namespace)
        for pod in pods:
            await self._sync(pod)
        while True:
            async for event in self._client.watch(PODS, self._namespace, version):
                version = event.object["metadata"]["resourceVersion"]
                if event.type in ("ADDED", "MODIFIED"):
                    await self._sync(event.object)
                elif event.type == "DELETED" and event.object["metadata"]["uid"] == self._runs:
                    await self._lost()

    def in_force(self) -> dict[str, str]:
        """State that the agent has put in force: the ruleset, and the keys that may log in."""
        keys = self._folder / "run" / "authorized_keys"
        table = self._netns.sh("nft", "list", "table", "inet", "berth", check=False)
        return {"table": table, "keys": keys.read_text() if self._agent is not None else ""}

    def remove(self) -> None:
        """Stop what runs and take the network down."""
        self._stop()
        self._netns.remove()

    async def _lost(self) -> None:
        """End what runs though its object is gone, as a kubelet does: that of one which no finalizer kept."""
        await asyncio.to_thread(self._stop)
        pods, _ = await self._client.list(PODS, self._namespace)
        for pod in pods:
            await self._sync(pod)

    async def _sync(self, pod: Object) -> None:
        metadata, phase = pod["metadata"], (pod.get("status") or {}).get("phase")
        if names.BUILD_LABEL in (metadata.get("labels") or {}):
            return  # those of builds are played in jobs.py
        try:
            if metadata.get("deletionTimestamp"):
                if pod["spec"].get("nodeName") and phase != "Succeeded":
                    if self._runs == metadata["uid"]:
                        await asyncio.to_thread(self._stop)
                    await self._report(metadata["name"], _ended(pod))
                if not metadata.get("finalizers"):
                    await self._client.delete(PODS, self._namespace, metadata["name"], grace_seconds=0)
            elif not pod["spec"].get("nodeName"):
                await self._bind(metadata["name"])
            elif phase == "Pending" and not self._runs:
                secret = await self._secret(pod)
                await asyncio.to_thread(self._start, secret, metadata["uid"])
                await self._report(metadata["name"], _cloning(pod, self.ip) if _clones(pod) else _running(pod, self.ip))
            elif phase == "Pending" and self._runs == metadata["uid"]:
                await self._report(metadata["name"], _running(pod, self.ip))
        except (NotFoundError, ConflictError):
            # Gone meanwhile, or its Secrets are: a kubelet would wait for them. Or news from before it was bound.
            return

    async def _bind(self, pod: str) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": self.name}
        body: Object = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
        await self._client.request("POST", PODS.path(self._namespace, pod, "binding"), body=body)

    async def _report(self, pod: str, status: Object) -> None:
        await self._client.patch(PODS, self._namespace, pod, {"status": status}, subresource="status")

    async def _secret(self, pod: Object) -> dict[str, str]:
        volume = next(volume for volume in pod["spec"]["volumes"] if volume["name"] == "berth-agent")
        return dict((await self._client.get(SECRETS, self._namespace, volume["secret"]["secretName"]))["data"])

    def _start(self, secret: dict[str, str], uid: str) -> None:
        for name in ("secret", "run", "state"):
            shutil.rmtree(self._folder / name, ignore_errors=True)
            (self._folder / name).mkdir(parents=True)
        for name, data in secret.items():
            (self._folder / "secret" / name).write_bytes(base64.b64decode(data))
        self._netns.sh("nft", "flush", "ruleset")
        subprocess.run(
            ["nsenter", f"--net=/run/netns/{self._link}", "nft", "-f", "-"], input=NODE_PORTS.encode(), check=True
        )
        with (self._folder / "agent.log").open("ab") as log:
            self._agent = subprocess.Popen(self._command(), env=self._environment, stderr=log)
        waits = CLOSED.replace("/var/lib/berth-agent", str(self._folder / "state"))
        subprocess.run(["sh", "-c", waits], check=True, timeout=30)
        self._sshd = self._netns.call(lambda: socket.create_server(("0.0.0.0", 22), backlog=64))  # noqa: S104 (its own namespace)
        self._runs = uid

    def _stop(self) -> None:
        self._runs = ""
        if self._sshd is not None:
            self._sshd.close()
            self._sshd = None
        if self._agent is not None:
            self._agent.kill()
            self._agent.wait(timeout=10)
            self._agent = None
        self._netns.sh("nft", "flush", "ruleset")

    def _command(self) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self._link}", sys.executable, "-m", "berth_agent"]

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY / "agent"),
            "BERTH_AGENT_SECRET_DIR": str(self._folder / "secret"),
            "BERTH_AGENT_RUN_DIR": str(self._folder / "run"),
            "BERTH_AGENT_STATE_DIR": str(self._folder / "state"),
        }


def _clones(pod: Object) -> bool:
    return any(container["name"] == names.REPOSITORY_CONTAINER for container in pod["spec"]["initContainers"])


def _statuses(pod: Object, states: Callable[[Object, bool], Object]) -> Object:
    """Report all containers, by a function of each of them and of whether the workspace waits for its end."""

    def of(kind: str) -> list[Object]:
        return [
            {
                "name": one["name"],
                "image": one["image"],
                "imageID": "",
                "ready": True,
                "restartCount": 0,
                "state": states(one, kind == "initContainers" and one.get("restartPolicy") != "Always"),
            }
            for one in pod["spec"][kind]
        ]

    return {"initContainerStatuses": of("initContainers"), "containerStatuses": of("containers")}


def _cloning(pod: Object, ip: str) -> Object:
    """Status of a pod before its workspace runs, while the repository is cloned."""

    def state(container: Object, comes_first: bool) -> Object:
        if container in pod["spec"]["containers"]:
            return {"waiting": {"reason": "PodInitializing"}}
        if comes_first and container["name"] != names.REPOSITORY_CONTAINER:
            return _DONE
        return {"running": {}}

    return {"phase": "Pending", "podIP": ip, "podIPs": [{"ip": ip}], **_statuses(pod, state)}


def _running(pod: Object, ip: str) -> Object:
    def state(container: Object, comes_first: bool) -> Object:
        if container["name"] == names.REPOSITORY_CONTAINER:
            return {"terminated": {"exitCode": 0, "message": CLONED}, "running": None}
        return _DONE if comes_first else {"running": {}, "waiting": None}

    return {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], **_statuses(pod, state)}


def _ended(pod: Object) -> Object:
    return {"phase": "Succeeded", **_statuses(pod, lambda _container, _comes_first: _DONE)}


@asynccontextmanager
async def machine(client: Client, namespace: str, folder: Path) -> AsyncIterator[Machine]:
    """A node that runs the pods of a namespace."""
    with claimed("machine", 1 << 14) as number:  # four addresses each
        made = Machine(client, namespace, folder, number)
        try:
            await made.join()
            running = asyncio.create_task(made.run())
            try:
                yield made
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running  # one that has failed says so
        finally:
            await asyncio.to_thread(made.remove)
            await client.delete(NODES, None, made.name)
