"""Measure many leases that end at the same moment.

etcd, kube-apiserver and the operator are as shipped, the operator with a service account of its own. This process plays
the nodes and the agents (berth_dev.envtest.puppets), so the figures include its own share of the machine.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from berth_cli.jobs.keys import ensure_keys
from berth_core.kube.connection import connected
from berth_core.kube.types import Kind
from berth_dev.envtest import apiserver
from berth_dev.envtest.accounts import EVERYTHING, account
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.expiring import Figures, expire_together
from berth_dev.envtest.puppets import Puppets
from berth_dev.envtest.testing import Namespaces, apply_crds, make_namespaces

ACCOUNT: Final = "berth-operator"


@contextmanager
def operator(server: ApiServer, namespaces: Namespaces, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """An operator that logs into ``folder``; its account may do everything, and is queued like any account."""
    kubeconfig = account(server, ACCOUNT, namespaces.release, EVERYTHING, folder)
    settings = {
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(kubeconfig),
        "BERTH_NAMESPACE": namespaces.release,
        "BERTH_WORKSPACE_NAMESPACES": namespaces.workspaces,
        "BERTH_ACCESS_NAMESPACE": namespaces.access,
        "BERTH_AGENT_IMAGE": "berth.invalid/berth:bench",
        "BERTH_LISTEN": "0",
    }
    with (folder / "operator.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "berth_operator"], env=settings, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


def table(figures: Figures, count: int) -> Table:
    """Seconds after the end of the leases."""
    made = Table("figure", "n", "p50", "p99", "max", title=f"{count} leases end at once: seconds after their end")
    for name, seconds in (
        ("marked Ended with its reason", figures.marked),
        ("pod's deletion asked for", figures.deleting),
        ("given back, nothing left", figures.given_back),
    ):
        p99 = seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))]
        made.add_row(name, str(len(seconds)), f"{statistics.median(seconds):.1f}", f"{p99:.1f}", f"{seconds[-1]:.1f}")
    return made


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


async def measure(server: ApiServer, count: int, lead: float, folder: Path) -> None:
    """Run it and print."""
    namespaces, console = make_namespaces(server), Console()
    async with connected("berth-bench", str(server.kubeconfig)) as client:
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        await client.create(Kind("v1", "serviceaccounts"), namespaces.workspaces, account)
        await ensure_keys(client, namespaces.release, datetime.now(UTC))
        puppets = Puppets(client, namespaces.workspaces, "played")
        with operator(server, namespaces, folder) as process:
            async with puppets.playing():
                figures = await expire_together(client, puppets, count, lead=lead)
            used = cpu_seconds(process.pid)
    console.print(table(figures, count))
    console.print(
        f"launched in {figures.launched:.0f} s, warned in {figures.warned:.0f} s,"
        f" processor time of the operator {used:.0f} s, load average {os.getloadavg()[0]:.1f}"
    )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leases", type=int, default=1000)
    parser.add_argument("--lead", type=float, default=60, help="seconds from the last launch to the end")
    parser.add_argument("--folder", type=Path, help="where logs are kept; else nowhere")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        with apiserver.running(Path(scratch) / "tier") as server:
            apply_crds(server)
            asyncio.run(measure(server, options.leases, options.lead, folder))


if __name__ == "__main__":
    main()
