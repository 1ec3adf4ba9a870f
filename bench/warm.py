"""Measures how soon leases open where pods are kept warm, on the two-node cluster, from an address outside of it.

``make bench-warm`` runs it in the network namespace of an outside client. It makes a type with ``warm: true`` and as
many deployments as the burst has. It takes them one by one and then all at once (bench/pools.py), each by its id, and
removes them. With ``--kubectl`` the leases are for Instances that are made in the cluster, by type, as kubectl makes
them. Prints tables and writes ``.berth/bench/warm.json``; nothing here passes or fails.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Final

import httpx
from bench.pools import ANSWERED, LOOK_EVERY, READY, READY_DEADLINE, Figures, ReadyTimes, Sample, measure, runs
from bench.report import Report
from rich.console import Console

from berth_core.ids import deployment_id, instance_id
from berth_core.kube.client import Client
from berth_core.kube.connection import connected
from berth_core.kube.types import PODS, Kind, Object
from berth_core.names import API_VERSION, DEPLOYMENT_LABEL, EPOCH_LABEL, WARM_LABEL

SERVICES: Final = Kind("v1", "services")
INSTANCES: Final = Kind(API_VERSION, "instances")
TYPES: Final = Kind(API_VERSION, "workspacetypes")
DEPLOYMENTS: Final = Kind(API_VERSION, "workspacedeployments")
SYSTEM: Final = "Berth"
TYPE: Final = "bench_warm"
NAME: Final = "bench-warm"
USER: Final = "bench"
"""Of the token that ``make bench-warm`` gives."""
TEMPLATE: Final = {
    "image": "localhost/berth-workspace:dev",
    "imagePullPolicy": "IfNotPresent",
    "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"cpu": "1", "memory": "128Mi"}},
}
CONNECTED: Final = "→ first TCP connection"
PATIENCE: Final = 0.050


@dataclass(frozen=True)
class Door:
    """Address at which the workspace of a deployment will answer."""

    deployment: str
    host: str
    port: int


@dataclass(frozen=True)
class Bench:
    """Deployments whose pods are kept warm: a :class:`~bench.pools.Pool`."""

    api: httpx.AsyncClient
    cluster: Client
    namespace: str
    key: str
    """Public key for the instances."""
    count: int
    kubectl: bool = False
    """Claims are Instances that are made in the cluster, of the type."""
    ready: ReadyTimes = field(default_factory=ReadyTimes)

    @property
    def names(self) -> Sequence[str]:
        """Names of the deployments."""
        return [f"{NAME}-{number}" for number in range(self.count)]

    async def make(self) -> None:
        """Make the type and its deployments."""
        await self._make(TYPES, "WorkspaceType", NAME, {"typeName": TYPE, "template": TEMPLATE, "warm": True})
        for name in self.names:
            await self._make(DEPLOYMENTS, "WorkspaceDeployment", name, {"type": TYPE})

    async def remove(self) -> None:
        """Delete instances, deployments and type, and wait until their pods are gone."""
        for instance in await self._ours(INSTANCES):
            await self.cluster.delete(INSTANCES, self.namespace, instance["metadata"]["name"])
        for deployment in await self._ours(DEPLOYMENTS):
            await self.cluster.delete(DEPLOYMENTS, self.namespace, deployment["metadata"]["name"])
        await self.cluster.delete(TYPES, self.namespace, NAME)
        while await self._ours(DEPLOYMENTS) or await self._ours(PODS):
            await asyncio.sleep(LOOK_EVERY)

    async def full(self) -> bool:
        """Whether an unclaimed pod runs for each deployment."""
        return set(self.names) <= set(await self._waiting())

    async def places(self) -> Sequence[Door]:
        """Return the doors of the pods that wait."""
        pods = await self._waiting()
        listed, _ = await self.cluster.list(SERVICES, self.namespace, labels={WARM_LABEL: "true"})
        ports = {service["metadata"]["name"]: service["spec"]["ports"][0]["nodePort"] for service in listed}
        return [
            Door(name, pods[name]["status"]["hostIP"], ports[pods[name]["metadata"]["name"]]) for name in self.names
        ]

    async def claim(self, door: Door, every: float, /) -> tuple[str, Sample]:
        """Take a deployment; return the instance's id, and seconds until answer, first connection and READY."""
        if self.kubectl:
            return await self._instance()
        asked = monotonic()
        opened = asyncio.create_task(_opened(door, every))
        path = f"/new/{deployment_id(self.namespace, door.deployment)}"
        made = (await self.api.post(path, json={"sshkey": self.key})).raise_for_status().json()
        took = {ANSWERED: monotonic() - asked}
        took[CONNECTED] = await opened - asked
        took[READY] = await self.ready.of(made["id"]) - asked
        return made["id"], took

    async def _instance(self) -> tuple[str, Sample]:
        """Make an Instance of the type; return its id, and seconds until its creation was answered and READY."""
        asked, name = monotonic(), f"{NAME}-{uuid.uuid4()}"
        spec = {"user": USER, "workspaceType": TYPE, "sshKeys": [self.key]}
        made = await self._make(INSTANCES, "Instance", name, spec)
        took = {ANSWERED: monotonic() - asked}
        took[READY] = await self.ready.of(name) - asked
        return instance_id(name, made["metadata"]["uid"]), took

    async def give_back(self, instance: str) -> None:
        """Give an instance back."""
        (await self.api.post(f"/terminate/{instance}")).raise_for_status()

    async def listen(self) -> None:
        """Note when each instance is READY, until cancelled."""
        await self.ready.listen(self.cluster, INSTANCES, self.namespace)

    async def _waiting(self) -> dict[str, Object]:
        """Return pods that run and that nobody has, since no lease of their epoch was taken, by their deployment."""
        pods = {_deployment(pod): pod for pod in await self._ours(PODS) if runs(pod) and _epoch(pod)}
        taken = {_deployment(wd): wd.get("status", {}).get("epoch", 0) for wd in await self._ours(DEPLOYMENTS)}
        return {name: pod for name, pod in pods.items() if _epoch(pod) == taken.get(name, 0) + 1}

    async def _ours(self, kind: Kind) -> list[Object]:
        """Return instances, deployments or pods of the bench."""
        listed, _ = await self.cluster.list(kind, self.namespace)
        return [one for one in listed if _deployment(one).startswith(f"{NAME}-")]

    async def _make(self, kind: Kind, name_of_kind: str, name: str, spec: Object) -> Object:
        body = {"apiVersion": API_VERSION, "kind": name_of_kind, "metadata": {"name": name}, "spec": spec}
        return await self.cluster.create(kind, self.namespace, body)


def _deployment(obj: Object) -> str:
    """Name of the deployment that an instance or a pod belongs to, or that of a deployment itself."""
    claim, labels = obj["spec"].get("claim") or {}, obj["metadata"].get("labels", {})
    name: str = claim.get("deployment") or labels.get(DEPLOYMENT_LABEL) or obj["metadata"]["name"]
    return name


def _epoch(pod: Object) -> int:
    """Epoch of a warm pod; 0 for another one."""
    labels = pod["metadata"].get("labels", {})
    return int(labels[EPOCH_LABEL]) if WARM_LABEL in labels else 0


async def _opened(door: Door, every: float) -> float:
    """Time at which the first answered SYN was sent; one is sent every ``every`` seconds."""
    pending = set[asyncio.Task[float | None]]()

    async def knock() -> float | None:
        sent = monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                _, writer = await asyncio.open_connection(door.host, door.port)
        except (OSError, TimeoutError):
            return None
        writer.transport.abort()
        return sent

    async with asyncio.timeout(READY_DEADLINE):
        while True:
            pending.add(asyncio.create_task(knock()))
            done, pending = await asyncio.wait(pending, timeout=every)
            found = [sent for task in done if (sent := task.result()) is not None]
            if found:
                for task in pending:
                    task.cancel()
                return min(found)
            if len(done) and not pending:
                await asyncio.sleep(every)


@asynccontextmanager
async def bench(api_url: str, token: str, namespace: str, count: int, *, kubectl: bool = False) -> AsyncIterator[Bench]:
    """Connect to the API and the cluster that ``KUBECONFIG`` names, with a new key pair for the instances."""
    headers = {"Authorization": f"Bearer {token}"}
    limits = httpx.Limits(max_connections=200)
    with tempfile.TemporaryDirectory() as folder:
        key = new_key(Path(folder))
        async with (
            httpx.AsyncClient(base_url=api_url, headers=headers, timeout=READY_DEADLINE, limits=limits) as api,
            connected("berth-bench", os.environ["KUBECONFIG"]) as cluster,
        ):
            yield Bench(api, cluster, namespace, key.with_suffix(".pub").read_text().strip(), count, kubectl)


def new_key(folder: Path) -> Path:
    """Make an ed25519 key pair, ``key`` and ``key.pub``; return the path of the private half."""
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    return key


def arguments(description: str, *, runs: int) -> argparse.ArgumentParser:
    """Return options that say how much is measured, and where; the token is the first line of standard input."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=runs, help="claims one by one")
    parser.add_argument("--burst", type=int, default=40, help="claims at once, and pods that are kept warm")
    parser.add_argument("--namespace", default="berth-workspaces")
    parser.add_argument("--api", default=os.environ.get("BERTH_API"), help="base URL; default $BERTH_API")
    return parser


async def measured(options: argparse.Namespace, token: str, *, kubectl: bool = False) -> Figures:
    """Measure leases of warm pods."""
    async with bench(options.api, token, options.namespace, options.burst, kubectl=kubectl) as pool:
        return await measure(pool, options.runs)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, runs=60)
    parser.add_argument("--kubectl", action="store_true", help="make Instances in the cluster, instead of POST /new")
    options = parser.parse_args()
    report = Report("kubectl" if options.kubectl else "warm", {"runs": options.runs, "burst": options.burst})
    figures = asyncio.run(measured(options, sys.stdin.readline().strip(), kubectl=options.kubectl))
    figures.add_to(report, f"{SYSTEM}, kubectl" if options.kubectl else SYSTEM)
    report.show(Console())
    report.save()


if __name__ == "__main__":
    main()
