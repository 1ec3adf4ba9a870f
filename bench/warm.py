"""Measures how soon leases open where pods are kept warm, on the two-node cluster, from an address outside of it.

``make bench-warm`` runs it in the network namespace of an outside client. It makes a type with ``warm: true`` and as
many deployments as the burst has. It takes them one by one, each when the pods of all run again and the machine is
quiet, then all at once, each by its id, and removes them. Prints a table in milliseconds; nothing here passes or fails.

One watch of all instances tells when each is READY: polling clients would disturb the measured processes on the same
machine.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Final

import httpx
from rich.console import Console
from rich.progress import track
from rich.table import Table

from berth_core.ids import deployment_id
from berth_core.kube.client import Client
from berth_core.kube.connection import connected
from berth_core.kube.errors import AlreadyExistsError
from berth_core.kube.types import Kind
from berth_core.names import API_VERSION, DEPLOYMENT_LABEL, INSTANCE_ANNOTATION, WARM_LABEL

PODS: Final = Kind("v1", "pods")
SERVICES: Final = Kind("v1", "services")
INSTANCES: Final = Kind(API_VERSION, "instances")
TYPES: Final = Kind(API_VERSION, "workspacetypes")
DEPLOYMENTS: Final = Kind(API_VERSION, "workspacedeployments")
TYPE: Final = "bench_warm"
TEMPLATE: Final = {
    "image": "localhost/berth-workspace:dev",
    "imagePullPolicy": "IfNotPresent",
    "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"cpu": "1", "memory": "128Mi"}},
}
ONE: Final = 0.020
MANY: Final = 0.100
"""Seconds between SYNs: of one client, and of each of many, which share the machine with the measured processes."""
PATIENCE: Final = 0.050
LOOK_EVERY: Final = 0.25
QUIET: Final = 0.75
"""Share of a second for which all processors are idle on a quiet machine."""
DEADLINE: Final = 60.0
PREPARE_DEADLINE: Final = 300.0


@dataclass(frozen=True)
class Door:
    """Address at which the workspace of a deployment will answer."""

    deployment: str
    host: str
    port: int


@dataclass(frozen=True)
class Bench:
    """The API, the cluster, and the public key for the instances."""

    api: httpx.AsyncClient
    cluster: Client
    namespace: str
    key: str
    ready: defaultdict[str, asyncio.Future[float]] = field(default_factory=lambda: defaultdict(asyncio.Future))
    """Time when each instance, by id, was READY."""

    async def prepare(self, count: int) -> list[str]:
        """Make the type and so many deployments of it; return their names."""
        await self._make(TYPES, "WorkspaceType", "bench-warm", {"typeName": TYPE, "template": TEMPLATE, "warm": True})
        made = [f"bench-warm-{number}" for number in range(count)]
        for name in made:
            await self._make(DEPLOYMENTS, "WorkspaceDeployment", name, {"type": TYPE})
        return made

    async def remove(self, made: Sequence[str]) -> None:
        """Delete type and deployments, and wait until their pods are gone."""
        for name in made:
            await self.cluster.delete(DEPLOYMENTS, self.namespace, name)
        await self.cluster.delete(TYPES, self.namespace, "bench-warm")
        while await self._pods():
            await asyncio.sleep(LOOK_EVERY)

    async def doors(self, made: Sequence[str]) -> list[Door]:
        """Wait until a warm pod runs for each deployment, and the machine is quiet."""
        async with asyncio.timeout(PREPARE_DEADLINE):
            while True:
                pods = {pod["metadata"]["labels"][DEPLOYMENT_LABEL]: pod for pod in await self._pods() if _waits(pod)}
                if set(made) <= set(pods):
                    break
                await asyncio.sleep(LOOK_EVERY)
            # The runtime cleans up after a pod some seconds later, and takes half a second of processor time for it.
            while await _idle_share(1.0) < QUIET:
                pass
        listed, _ = await self.cluster.list(SERVICES, self.namespace, labels={WARM_LABEL: "true"})
        ports = {service["metadata"]["name"]: service["spec"]["ports"][0]["nodePort"] for service in listed}
        return [Door(name, pods[name]["status"]["hostIP"], ports[pods[name]["metadata"]["name"]]) for name in made]

    async def lease(self, door: Door, every: float) -> tuple[str, dict[str, float]]:
        """Take a deployment; return the instance's id, and seconds until answer, first connection and READY."""
        asked = monotonic()
        opened = asyncio.create_task(_opened(door, every))
        path = f"/new/{deployment_id(self.namespace, door.deployment)}"
        made = (await self.api.post(path, json={"sshkey": self.key})).raise_for_status().json()
        took = {"POST /new answered": monotonic() - asked}
        took["POST /new → first TCP connection"] = await opened - asked
        async with asyncio.timeout(DEADLINE):
            took["POST /new → READY"] = await self.ready[made["id"]] - asked
        return made["id"], took

    async def end(self, instance: str) -> None:
        """Give an instance back."""
        (await self.api.post(f"/terminate/{instance}")).raise_for_status()

    async def listen(self) -> None:
        """Note when each instance is READY, until cancelled."""
        _, version = await self.cluster.list(INSTANCES, self.namespace, metadata_only=True)
        while True:
            async for event in self.cluster.watch(INSTANCES, self.namespace, version):
                metadata, conditions = event.object["metadata"], (event.object.get("status") or {}).get("conditions")
                version = metadata["resourceVersion"]
                is_ready = any((c["type"], c["status"]) == ("Ready", "True") for c in conditions or ())
                if is_ready and not (known := self.ready[metadata["name"]]).done():
                    known.set_result(monotonic())

    async def _pods(self) -> list[dict[str, Any]]:
        pods, _ = await self.cluster.list(PODS, self.namespace, labels={WARM_LABEL: "true"})
        return [pod for pod in pods if pod["metadata"]["labels"][DEPLOYMENT_LABEL].startswith("bench-warm-")]

    async def _make(self, kind: Kind, name_of_kind: str, name: str, spec: dict[str, Any]) -> None:
        body = {"apiVersion": API_VERSION, "kind": name_of_kind, "metadata": {"name": name}, "spec": spec}
        try:
            await self.cluster.create(kind, self.namespace, body)
        except AlreadyExistsError:
            return  # an earlier run was interrupted


def _waits(pod: dict[str, Any]) -> bool:
    """Whether a pod is unclaimed and all its containers run."""
    metadata, status = pod["metadata"], pod["status"]
    statuses = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    runs = len(statuses) == 2 and all("running" in one["state"] for one in statuses)
    return runs and INSTANCE_ANNOTATION not in metadata.get("annotations", {}) and not metadata.get("deletionTimestamp")


async def _idle_share(seconds: float) -> float:
    """Share of the processors' time that is idle (proc_stat(5)), over so many seconds from now."""

    def read() -> tuple[int, int]:
        ticks = [int(word) for word in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
        return ticks[3], sum(ticks)

    idle, total = read()
    await asyncio.sleep(seconds)
    idle_then, total_then = read()
    return (idle_then - idle) / (total_then - total)


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

    async with asyncio.timeout(DEADLINE):
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


def table(title: str, samples: Sequence[dict[str, float]]) -> Table:
    """Return count, min, p50, p90, p99 and max of each figure, in milliseconds."""
    shown = Table("figure", "n", "min", "p50", "p90", "p99", "max", title=f"{title}, milliseconds")
    for name in samples[0]:
        ordered = sorted(sample[name] for sample in samples)
        at = [ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0, 0.5, 0.9, 0.99)]
        shown.add_row(name, str(len(ordered)), *(f"{1000 * value:.0f}" for value in (*at, ordered[-1])))
    return shown


async def _measure(bench: Bench, runs: int, burst: int, console: Console) -> None:
    made = await bench.prepare(burst)
    listening = asyncio.create_task(bench.listen())
    try:
        one_by_one = []
        for number in track(range(runs), "one by one", console=Console(stderr=True)):
            # Each when all is quiet again, so that the cleanup of one lease is not part of the next figure.
            door = (await bench.doors(made))[number % burst]
            instance, took = await bench.lease(door, ONE)
            one_by_one.append(took)
            await bench.end(instance)
        if one_by_one:
            console.print(table("one by one", one_by_one))
        doors = await bench.doors(made)
        started = monotonic()
        at_once = await asyncio.gather(*(bench.lease(door, MANY) for door in doors))
        console.print(table(f"{burst} at once", [took for _, took in at_once]))
        last = max(took["POST /new → READY"] for _, took in at_once)
        console.print(f"all READY after {monotonic() - started:.1f} s: {burst / last:.0f} a second")
        await asyncio.gather(*(bench.end(instance) for instance, _ in at_once))
    finally:
        listening.cancel()
        await bench.remove(made)


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=60, help="leases one by one")
    parser.add_argument("--burst", type=int, default=40, help="leases at once, and deployments that are made")
    parser.add_argument("--namespace", default="berth-workspaces")
    parser.add_argument("--api", default=os.environ.get("BERTH_API"), help="base URL; default $BERTH_API")
    options = parser.parse_args()
    headers = {"Authorization": f"Bearer {sys.stdin.readline().strip()}"}
    limits = httpx.Limits(max_connections=200)
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        async with (
            httpx.AsyncClient(base_url=options.api, headers=headers, timeout=DEADLINE, limits=limits) as api,
            connected("berth-bench", os.environ["KUBECONFIG"]) as cluster,
        ):
            bench = Bench(api, cluster, options.namespace, key.with_suffix(".pub").read_text().strip())
            await _measure(bench, options.runs, options.burst, Console())


if __name__ == "__main__":
    asyncio.run(main())
