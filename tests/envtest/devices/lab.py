"""The driver as a process of its own on a node that the API server knows, with pseudo terminals as devices.

It has the rights that charts/berth/files/rights.yaml lists and no others, a token that is bound to its node as a pod's
is, and the policy of the chart. The kubelet's calls are made by a gRPC client over the sockets.
"""

import asyncio
import json
import os
import pty
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import documented
import httpx
import yaml
from forked import Process, start
from kubelet import Kubelet

from berth_dev.commands import run
from berth_dev.components import HELM, build
from berth_dev.envtest.accounts import account
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.asking import asking
from berth_dev.envtest.testing import Namespaces
from berth_dev.paths import REPOSITORY
from berth_dev.ports import free_port
from berth_devices.kubelet.protos import dra_pb2 as dra
from berth_devices.kubelet.sockets import Paths

SECONDS = 60.0
POLICY = "templates/policies/devices.yaml"
CLASS = "devices-of-tests"
DRIVER = "devices.berth.dev"


def rendered(template: str) -> str:
    """A template of the chart with the driver."""
    words: list[str | Path] = [
        "template",
        "berth",
        REPOSITORY / "charts" / "berth",
        "--set=devices.enabled=true",
        "-s",
        template,
    ]
    return run([build((HELM,)).path("helm"), *words]).stdout


@dataclass
class Terminal:
    """A pseudo terminal that a link below the host's /dev names; the device is its slave end."""

    link: Path
    controller: int
    node: str

    def unplug(self) -> None:
        """Close it; its node vanishes with it."""
        os.close(self.controller)
        self.link.unlink()


@dataclass
class Lab:
    """One node."""

    server: ApiServer
    namespaces: Namespaces
    folder: Path
    node: str
    version: str = "v1"
    """Of resource.k8s.io."""
    running: list[Process] = field(default_factory=list)
    port: int = 0

    @property
    def paths(self) -> Paths:
        """The kubelet's folder and the sockets in it."""
        return Paths(self.folder / "k", self.folder / "host")

    @property
    def cdi(self) -> Path:
        """The folder of CDI files."""
        return self.folder / "host" / "cdi"

    def plug(self, name: str) -> Terminal:
        """Make a pseudo terminal and its link."""
        controller, device = pty.openpty()
        node = os.ttyname(device)
        os.close(device)
        link = self.folder / "host" / "dev" / "lab" / name
        link.symlink_to(node)
        return Terminal(link, controller, node)

    def make_node(self) -> None:
        """Make folders, the Node object and the account whose token is bound to it."""
        dev = self.folder / "host" / "dev"
        (dev / "lab").mkdir(parents=True)
        (dev / "pts").symlink_to("/dev/pts")
        # The container has the kubelet's folders elsewhere.
        self.paths.endpoint.parent.parent.mkdir(parents=True)
        self.paths.endpoint.parent.symlink_to(self.paths.state)
        with asking(self.server) as ask:
            body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.node}}
            ask("", "POST", "/api/v1/nodes", body, dry=False).raise_for_status()
        rules = documented.rules(documented.rights("devices"), self.namespaces)
        path = account(self.server, "berth-devices", self.namespaces.release, rules, self.folder)
        words = ("create", "token", "berth-devices", "-n", self.namespaces.release)
        bound = self.server.kubectl(*words, "--bound-object-kind=Node", f"--bound-object-name={self.node}").strip()
        config = yaml.safe_load(path.read_text())
        for user in config["users"]:
            user["user"] = {"token": bound}
        path.write_text(yaml.safe_dump(config))

    def start(self, *fixed: dict[str, str]) -> Process:
        """Start the driver with fixed devices."""
        self.port = free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(self.folder / "berth-devices.kubeconfig"),
            "BERTH_NODE": self.node,
            "BERTH_KUBELET_DIR": str(self.paths.kubelet),
            "BERTH_HOST_DIR": str(self.folder / "host"),
            "BERTH_DEVICES_FIXED": json.dumps(fixed),
            "BERTH_DEVICES_RESCAN_SECONDS": "1",
            "BERTH_LISTEN": str(self.port),
        }
        process = start("berth_devices", environment, self.folder / f"log-{len(self.running)}")
        self.running.append(process)
        return process

    def stop(self) -> None:
        """Stop what runs; it must end as it should."""
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(timeout=60) == 0, self.log()

    def log(self) -> str:
        """Output of the processes."""
        return "".join((self.folder / f"log-{number}").read_text() for number in range(len(self.running)))

    async def until(self, holds: Callable[[], Any], what: str) -> Any:
        """Wait until something holds, and return it."""
        deadline = time.monotonic() + SECONDS
        while not (found := holds()):
            assert time.monotonic() < deadline, f"{what}: {self.log()}"
            await asyncio.sleep(0.1)
        return found

    async def registered(self, version: str = "v1") -> Kubelet:
        """Wait for the socket, register the plugin as the kubelet does, and return its side of the service."""
        await self.until(self.paths.registration.exists, "no socket of the registration")
        door = Kubelet(self.paths.registration)
        endpoint = (await door.info()).endpoint
        await door.tell(True)
        return Kubelet(endpoint, version)

    def ready(self) -> bool:
        """Whether it says that the kubelet has the plugin, and the cluster the devices."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def slices(self) -> list[dict[str, Any]]:
        """ResourceSlices of the node."""
        query = f"fieldSelector=spec.nodeName={self.node}"
        with asking(self.server) as ask:
            answer = ask("", "GET", f"/apis/resource.k8s.io/{self.version}/resourceslices?{query}")
        found: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
        return found

    def devices(self) -> dict[str, dict[str, Any]]:
        """Devices that the cluster knows of, by serial number: name, attributes, taints."""
        listed = [one.get("basic", {}) | one for piece in self.slices() for one in piece["spec"].get("devices") or ()]
        return {one["attributes"]["serial"]["string"]: one for one in listed}

    def allocate(self, name: str, *devices: str) -> str:
        """Make a ResourceClaim, allocate devices to it in the scheduler's place, and return its uid."""
        path = f"/apis/resource.k8s.io/{self.version}/namespaces/{self.namespaces.workspaces}/resourceclaims"
        version = f"resource.k8s.io/{self.version}"
        exact = {"deviceClassName": CLASS, "allocationMode": "ExactCount", "count": len(devices)}
        request = {"name": "device", **(exact if self.version == "v1beta1" else {"exactly": exact})}
        body = {"apiVersion": version, "kind": "ResourceClaim", "metadata": {"name": name}}
        results = [{"request": "device", "driver": DRIVER, "pool": self.node, "device": one} for one in devices]
        with asking(self.server) as ask:
            spec = {"devices": {"requests": [request]}}
            claim = ask("", "POST", path, body | {"spec": spec}, dry=False).raise_for_status().json()
            status = {"status": {"allocation": {"devices": {"results": results}}}}
            ask("", "PATCH", f"{path}/{name}/status", status, dry=False).raise_for_status()
        return str(claim["metadata"]["uid"])

    def remove_claim(self, name: str) -> None:
        """Delete a claim, its allocation first."""
        path = f"/apis/resource.k8s.io/{self.version}/namespaces/{self.namespaces.workspaces}/resourceclaims/{name}"
        with asking(self.server) as ask:
            ask("", "PATCH", f"{path}/status", {"status": {"allocation": None}}, dry=False).raise_for_status()
            ask("", "PATCH", path, {"metadata": {"finalizers": None}}, dry=False).raise_for_status()
            ask("", "DELETE", path, {}, dry=False).raise_for_status()

    def claim(self, name: str, uid: str) -> dra.Claim:
        """A claim as the kubelet names it."""
        return dra.Claim(namespace=self.namespaces.workspaces, name=name, uid=uid)

    def mounted(self, uid: str) -> list[str]:
        """Paths on the host in the CDI file of a claim; empty where there is no file."""
        path = self.cdi / f"{DRIVER}-{uid}.json"
        if not path.exists():
            return []
        entries = json.loads(path.read_text())["devices"]
        return [mount["hostPath"] for one in entries for mount in one["containerEdits"]["mounts"]]


@contextmanager
def lab(server: ApiServer, namespaces: Namespaces, folder: Path, version: str = "v1") -> Iterator[Lab]:
    """A node of a test's own for the length of a ``with`` block."""
    made = Lab(server, namespaces, folder, f"node-{namespaces.release}", version)
    made.make_node()
    try:
        yield made
    finally:
        made.stop()


@contextmanager
def policy_held(server: ApiServer) -> Iterator[None]:
    """Have the API server enforce the chart's policy; at the end it is gone, and in force no more."""
    slices = "/apis/resource.k8s.io/v1/resourceslices"
    bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    account = "system:serviceaccount:anywhere:berth-devices"
    spec = {"driver": DRIVER, "nodeName": "n", "pool": {"name": "n", "generation": 1, "resourceSliceCount": 1}}
    body = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": "n"}, "spec": spec}
    with asking(server) as ask:

        def until(*, refused: bool) -> None:
            deadline = time.monotonic() + SECONDS
            while ("own node only" in ask(account, "POST", slices, body).text) is not refused:
                assert time.monotonic() < deadline, f"the policy's refusal is not {refused}"
                time.sleep(0.02)

        ask("", "POST", bindings, _everything(account), dry=False).raise_for_status()
        try:
            server.kubectl("apply", "-f", "-", stdin=rendered(POLICY))
            until(refused=True)
            yield
        finally:
            server.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=rendered(POLICY))
            until(refused=False)
            ask("", "DELETE", f"{bindings}/probe-of-the-policy", dry=False).raise_for_status()


def _everything(account: str) -> dict[str, Any]:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "probe-of-the-policy"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "User", "apiGroup": group, "name": account}],
    }
