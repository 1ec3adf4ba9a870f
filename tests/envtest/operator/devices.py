"""Devices of a driver that is played, which Kubernetes' own scheduler and controllers allocate and free."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from berth_core.kube.model import timestamp
from berth_core.kube.types import Kind, Object
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.puppets import NODES
from berth_dev.ports import free_port

from .lab import Lab

CLAIMS = Kind("resource.k8s.io/v1", "resourceclaims")
SLICES = Kind("resource.k8s.io/v1", "resourceslices", namespaced=False)
CLASSES = Kind("resource.k8s.io/v1", "deviceclasses", namespaced=False)
FREED = "resource.kubernetes.io/delete-protection"
"""Finalizer that the scheduler puts on a claim with its allocation, and the claim controller takes away after it."""
ROOM = {"cpu": "64", "memory": "64Gi", "ephemeral-storage": "64Gi", "pods": "500"}
HEARTBEAT_SECONDS = 10


@contextmanager
def scheduling(server: ApiServer, folder: Path) -> Iterator[None]:
    """Run kube-scheduler."""
    config = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    words = [f"--{name}={server.kubeconfig}" for name in config]
    words += ["--leader-elect=false", "--bind-address=127.0.0.1", f"--secure-port={free_port()}"]
    with (folder / "kube-scheduler.log").open("w") as log:
        process = subprocess.Popen([server.tools.path("kube-scheduler"), *words], stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)


@asynccontextmanager
async def with_room(lab: Lab, node: str) -> AsyncIterator[None]:
    """Have a node report room for pods, and that it is Ready, again and again."""

    async def report() -> None:
        while True:
            now = timestamp(datetime.now(UTC).replace(microsecond=0))
            ready = {"type": "Ready", "status": "True", "reason": "Played", "lastHeartbeatTime": now}
            status: Object = {"capacity": ROOM, "allocatable": ROOM}
            status["conditions"] = [ready | {"lastTransitionTime": now}]
            await lab.client.patch(NODES, None, node, {"status": status}, subresource="status")
            await asyncio.sleep(HEARTBEAT_SECONDS)

    task = asyncio.create_task(report())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@dataclass
class Driver:
    """A driver with devices on one node; its DeviceClass has the driver's name."""

    lab: Lab
    node: str
    generation: int = 0

    @property
    def name(self) -> str:
        return f"{self.lab.namespace}.test"

    async def install(self) -> None:
        expression = f'device.driver == "{self.name}"'
        spec = {"selectors": [{"cel": {"expression": expression}}]}
        await self.lab.client.create(CLASSES, None, {"metadata": {"name": self.name}, "spec": spec})

    async def offer(self, *serials: str, taints: dict[str, list[Object]] | None = None, **named: str) -> None:
        """Offer these devices and no others: by serial, or by name and serial."""
        self.generation += 1
        every = {serial.lower(): serial for serial in serials} | named
        devices = [
            {
                "name": name,
                "attributes": {"serial": {"string": serial}, "kind": {"string": "arm"}},
                **({"taints": taints[name]} if taints and name in taints else {}),
            }
            for name, serial in every.items()
        ]
        pool = {"name": self.node, "generation": self.generation, "resourceSliceCount": 1}
        body = {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceSlice",
            "metadata": {"name": f"{self.node}-slice"},
            "spec": {"driver": self.name, "nodeName": self.node, "pool": pool, "devices": devices},
        }
        await self.lab.client.apply(SLICES, body)

    async def remove(self) -> None:
        await self.lab.client.delete(SLICES, None, f"{self.node}-slice")
        await self.lab.client.delete(CLASSES, None, self.name)

    def arm(self, serial: str, **more: Any) -> dict[str, Any]:
        """``spec.machine`` with the device of a serial."""
        return self.machine(f'device.attributes["{self.name}"].?serial.orValue("") == "{serial}"', **more)

    def machine(self, expression: str, **more: Any) -> dict[str, Any]:
        selectors = [{"cel": {"expression": expression}}]
        return {"devices": [{"name": "arm", "deviceClassName": self.name, "selectors": selectors} | more]}


def device_of(claim: Object) -> str | None:
    """Device that a claim was allocated; None where it was not."""
    results = ((claim.get("status") or {}).get("allocation") or {}).get("devices", {}).get("results") or [{}]
    device: str | None = results[0].get("device")
    return device


def reserved_for(claim: Object) -> list[str]:
    """Names of all that a claim is reserved for."""
    return [entry["name"] for entry in (claim.get("status") or {}).get("reservedFor") or ()]
