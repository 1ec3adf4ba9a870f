"""The keeper as a process of its own, with the rights that charts/berth/files/rights.yaml lists and no others."""

import asyncio
import base64
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import documented
import httpx
from forked import Process, start

from berth_core.kube.types import Kind, Object
from berth_dev.envtest.accounts import account
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces
from berth_dev.ports import free_port

from ..operator.lab import PODS, SECRETS, Lab
from ..operator.robot import NETWORK

NAMESPACES = Kind("v1", "namespaces", namespaced=False)
READY_SECONDS = 60.0


@dataclass
class Keepers:
    """Keeper processes of one test."""

    kubeconfig: Path
    namespaces: Namespaces
    folder: Path
    running: list[Process] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)

    def start(self, **environment: str) -> Process:
        """Start one."""
        self.ports.append(free_port())
        settings = {
            "KUBECONFIG": str(self.kubeconfig),
            "BERTH_WORKSPACE_NAMESPACES": self.namespaces.workspaces,
            "BERTH_KEEPER_NAMESPACE": self.namespaces.keeper,
            "BERTH_MACHINE_CIDRS": NETWORK,
            "BERTH_LISTEN": str(self.ports[-1]),
        }
        settings |= {"PATH": os.environ["PATH"], **environment}
        process = start("berth_keeper", settings, self.log(len(self.running)))
        self.running.append(process)
        return process

    async def ready(self) -> None:
        """Wait until the last one that was started says that it is ready."""
        async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient() as http:
            while True:
                try:
                    if (await http.get(f"http://127.0.0.1:{self.ports[-1]}/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass  # not listening yet
                await asyncio.sleep(0.1)

    async def metrics(self) -> str:
        """Metrics of the last one."""
        async with httpx.AsyncClient() as http:
            return (await http.get(f"http://127.0.0.1:{self.ports[-1]}/metrics")).text

    async def kill(self) -> None:
        """Kill the last one."""
        self.running[-1].send_signal(signal.SIGKILL)
        await asyncio.to_thread(self.running[-1].wait)

    def log(self, number: int) -> Path:
        """Log file of a process."""
        return self.folder / f"keeper-{number}.log"

    def stop_all(self) -> None:
        """Stop what runs; it must end as it should."""
        alive = [process for process in self.running if process.poll() is None]
        for process in alive:
            process.send_signal(signal.SIGTERM)
        ends = [process.wait(timeout=30) for process in alive]
        assert not any(ends), [self.log(number).read_text() for number in range(len(self.running))]


def restricted_kubeconfig(server: ApiServer, namespaces: Namespaces, folder: Path) -> Path:
    """A kubeconfig for a service account with the documented rights."""
    rules = documented.rules(documented.rights("keeper"), namespaces)
    return account(server, f"keeper-{namespaces.release}", namespaces.release, rules, folder)


async def keep(lab: Lab, name: str, data: dict[str, str]) -> None:
    """Make or replace a Secret in the keeper's namespace."""
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    body: Object = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": lab.namespaces.keeper},
        "data": encoded,
    }
    await lab.client.apply(SECRETS, body)


async def keeper_pod(lab: Lab) -> None:
    """A kubelet's word that a pod of the keeper is ready; this tier has none."""
    labels = {"app.kubernetes.io/name": "berth", "app.kubernetes.io/component": "keeper"}
    body: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "berth-keeper-0", "labels": labels},
        "spec": {"containers": [{"name": "keeper", "image": "i"}], "schedulerName": "none"},
    }
    await lab.client.apply(Kind("v1", "serviceaccounts"), _default_account(lab.namespaces.release))
    await lab.client.create(PODS, lab.namespaces.release, body)
    ready: dict[str, Any] = {"conditions": [{"type": "Ready", "status": "True"}]}
    await lab.client.patch(PODS, lab.namespaces.release, "berth-keeper-0", {"status": ready}, subresource="status")


def _default_account(namespace: str) -> Object:
    metadata = {"name": "default", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
