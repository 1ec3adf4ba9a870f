"""Measures the life of leases on the two-node cluster, from an address outside of it.

``make bench`` runs it in the network namespace of an outside client. Each run: ask for an instance, wait for ssh,
run a command, shut and open the firewall, give it back. Prints a table in milliseconds; nothing here passes or
fails.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
from rich.console import Console
from rich.progress import track
from rich.table import Table

from berth_core.kube.client import Client
from berth_core.kube.connection import connected
from berth_core.kube.types import Kind
from berth_core.names import INSTANCE_LABEL, instance_object

CONNECT_EVERY = 0.020
SYN_EVERY = 0.005
POLL_EVERY = 0.010
DEADLINE = 30.0
CGROUPS = Path("/sys/fs/cgroup")
PROCESSES = {
    "operator": ("berth-operator",),
    "api": ("berth-api",),
    "agent": ("berth_agent",),
}


@dataclass
class Samples:
    """Seconds by name of the figure, in the order in which they are printed."""

    by_name: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, seconds: float) -> None:
        """Add one sample."""
        self.by_name.setdefault(name, []).append(seconds)

    def table(self) -> Table:
        """Return sample size, min, median, p95 and max of each figure, in milliseconds."""
        table = Table("figure", "n", "min", "median", "p95", "max", title="milliseconds")
        for name, values in self.by_name.items():
            ordered = sorted(values)
            p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
            cells = (ordered[0], statistics.median(ordered), p95, ordered[-1])
            table.add_row(name, str(len(ordered)), *(f"{1000 * cell:.0f}" for cell in cells))
        return table


@dataclass(frozen=True)
class Bench:
    """Objects for a run: the API, the cluster (to learn an address before READY), the deployment, the key pair."""

    api: httpx.AsyncClient
    cluster: Client
    namespace: str
    deployment: str
    key: Path
    samples: Samples
    processes: dict[tuple[str, str], float]
    """Resident memory in MB by process and pid, while a lease is held."""

    async def run(self) -> None:
        """Measure one whole life of a lease."""
        asked = monotonic()
        body = {"sshkey": self.key.with_suffix(".pub").read_text()}
        made = await self._call("POST", f"/new/{self.deployment}", body)
        self.samples.add("POST /new answered", monotonic() - asked)
        instance = made["id"]
        reached = asyncio.create_task(self._first_connection(instance))
        ready = asyncio.create_task(self._ready(instance))
        self.samples.add("POST /new → first TCP connection", await reached - asked)
        info, ready_at = await ready
        self.samples.add("POST /new → READY", ready_at - asked)
        self.samples.add("first TCP connection → READY", ready_at - reached.result())
        self.samples.add("processor time of the pod by then", await self._processor_time(instance))
        await self._ssh(info, instance)
        self.processes.update(resident())
        await self._firewall(info["fwd"], instance)
        ended = monotonic()
        await self._call("POST", f"/terminate/{instance}")
        await self._until_free()
        self.samples.add("terminate → deployment free", monotonic() - ended)

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.api.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    async def _first_connection(self, instance: str) -> float:
        host, port = await self._announced(instance)
        await until(host, port, opened=True, every=CONNECT_EVERY)
        return monotonic()

    async def _announced(self, instance: str) -> tuple[str, int]:
        """Address of the instance, as soon as the cluster knows it."""
        labels, name = {INSTANCE_LABEL: instance}, instance_object(instance)
        while True:
            pods, _ = await self.cluster.list(Kind("v1", "pods"), self.namespace, labels=labels)
            services, _ = await self.cluster.list(Kind("v1", "services"), self.namespace, labels=labels)
            host = next((p["status"].get("hostIP") for p in pods if p["metadata"]["name"] == name), None)
            if host and services:
                return host, services[0]["spec"]["ports"][0]["nodePort"]
            await asyncio.sleep(CONNECT_EVERY)

    async def _ready(self, instance: str) -> tuple[dict[str, Any], float]:
        start = monotonic()
        while monotonic() - start < DEADLINE:
            info = await self._call("GET", f"/instance/{instance}")
            if info["status"] == "READY":
                return info, monotonic()
            await asyncio.sleep(POLL_EVERY)
        raise TimeoutError(f"instance {instance} is {info['status']} after {DEADLINE:.0f} s")

    async def _processor_time(self, instance: str) -> float:
        pod = await self.cluster.get(Kind("v1", "pods"), self.namespace, instance_object(instance))
        return processor_seconds(pod["metadata"]["uid"])

    async def _ssh(self, info: dict[str, Any], instance: str) -> None:
        host, port = info["fwd"]["ipv4"], info["fwd"]["port"]
        known = self.key.parent / f"known-{instance}"
        known.write_text("".join(f"[{host}]:{port} {key}\n" for key in info["hostkeys"]))
        options = ("StrictHostKeyChecking=yes", f"UserKnownHostsFile={known}", "BatchMode=yes", "IdentitiesOnly=yes")
        command = ["ssh", "-F", "none", "-i", str(self.key), "-p", str(port)]
        command += [word for option in options for word in ("-o", option)]
        start = monotonic()
        process = await asyncio.create_subprocess_exec(
            *command, f"root@{host}", "echo aboard", stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        output, complaint = await process.communicate()
        if output != b"aboard\n":
            raise RuntimeError(f"ssh at READY failed: {complaint.decode()}")
        self.samples.add("READY → output of a command by ssh", monotonic() - start)

    async def _firewall(self, fwd: dict[str, Any], instance: str) -> None:
        host, port = fwd["ipv4"], fwd["port"]
        await self._call("DELETE", f"/firewall/{instance}")
        self.samples.add("DELETE /firewall answered → shut", await until(host, port, opened=False))
        await self._call("POST", f"/firewall/{instance}", {"action": "ACCEPT"})
        self.samples.add("POST /firewall answered → open", await until(host, port, opened=True))

    async def _until_free(self) -> None:
        while (await self._call("GET", f"/queuelen/{self.deployment}"))["len"] != 0:
            await asyncio.sleep(POLL_EVERY)


async def free(api: httpx.AsyncClient, preferred: str) -> str:
    """Return the id of a free deployment: of the preferred type, else of any."""
    for path in (f"/deployments/{preferred}", "/deployments"):
        listed = (await api.get(path, params={"maxlen": 0})).raise_for_status().json()["workspace_deployments"]
        if listed:
            return str(listed[0])
    sys.exit(
        "every deployment is taken: `kubectl get wd -A` says by whom, and "
        "`berth release DEPLOYMENT --reason bench` gives one back"
    )


def processor_seconds(pod_uid: str) -> float:
    """Processor time of all containers that a pod ever had, by its control group: the nodes are on this machine."""
    for folder in CGROUPS.rglob(f"pod{pod_uid}"):
        if (usage := folder / "cpuacct.usage").exists():
            return int(usage.read_text()) / 1e9
        if (stat := folder / "cpu.stat").exists() and (told := stat.read_text().split())[0] == "usage_usec":
            return int(told[1]) / 1e6
    raise RuntimeError(f"no control group of the pod {pod_uid} counts its processor time")


async def connects(host: str, port: int, patience: float) -> bool:
    """Whether a TCP connection succeeds within ``patience`` seconds."""
    try:
        async with asyncio.timeout(patience):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


async def until(host: str, port: int, *, opened: bool, every: float = SYN_EVERY) -> float:
    """Seconds until the port is as wanted, by one SYN every so many seconds; each has 50 ms to be answered.

    For shut, the figure is the time at which the last answered SYN was sent.
    """
    start, last_other, pending = monotonic(), 0.0, set[asyncio.Task[tuple[float, bool]]]()

    async def probe(sent: float) -> tuple[float, bool]:
        return sent, await connects(host, port, 0.050)

    quiet = 0.1 if not opened else 0.0
    while monotonic() - start < DEADLINE:
        pending.add(asyncio.create_task(probe(monotonic() - start)))
        await asyncio.sleep(every)
        for task in [task for task in pending if task.done()]:
            pending.discard(task)
            sent, connected_ = task.result()
            if connected_ == opened and opened:
                return sent
            if connected_ != opened:
                last_other = max(last_other, sent)
            elif sent - last_other > quiet:
                return last_other
    raise TimeoutError(f"{host}:{port} is not {'open' if opened else 'shut'} after {DEADLINE:.0f} s")


def resident() -> dict[tuple[str, str], float]:
    """Resident memory in MB of our processes on this machine, the nodes of the test cluster included."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            status = (folder / "status").read_text()
        except OSError:
            continue  # it ended while we looked
        names = {Path(word.decode(errors="replace")).name for word in words[:4]}
        rss = next((line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")), None)
        for process, marks in PROCESSES.items():
            if rss and names.intersection(marks):
                found[process, folder.name] = int(rss) / 1024
    return found


def memory(processes: dict[tuple[str, str], float]) -> Table:
    """Return the most that a process of each kind had."""
    table = Table("process", "n", "min", "max", title="resident memory, MB")
    for process in PROCESSES:
        sizes = [size for (name, _), size in processes.items() if name == process]
        if sizes:
            table.add_row(process, str(len(sizes)), f"{min(sizes):.0f}", f"{max(sizes):.0f}")
    return table


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100, help="lives of a lease to measure")
    parser.add_argument("--type", default="bench_arm", help="workspace type to measure while one of it is free")
    parser.add_argument("--namespace", default="berth-workspaces")
    parser.add_argument("--api", default=os.environ.get("BERTH_API"), help="base URL; default $BERTH_API")
    options = parser.parse_args()
    token = sys.stdin.readline().strip()
    samples, console = Samples(), Console()
    headers = {"Authorization": f"Bearer {token}"}
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        async with (
            httpx.AsyncClient(base_url=options.api, headers=headers, timeout=DEADLINE) as api,
            connected("berth-bench", os.environ["KUBECONFIG"]) as cluster,
        ):
            deployment = await free(api, options.type)
            bench = Bench(api, cluster, options.namespace, deployment, key, samples, {})
            for _ in track(range(options.runs), "leases", console=Console(stderr=True)):
                await bench.run()
    console.print(samples.table())
    console.print(memory(bench.processes))


if __name__ == "__main__":
    asyncio.run(main())
