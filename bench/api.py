"""Measures one replica of the API, with many resources, on etcd and kube-apiserver that it starts for itself.

``make bench-api``, or ``python -m bench.api``. Steps: make the resources; start the API; the mixed load, first with
nothing changing, then while leases change; pages with ``info``; verification of tokens. Prints a table, writes
``.berth/bench/api.json``, and ends by itself; nothing here passes or fails. All of it is on loopback.
"""

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from bench.load import Plan, Request, Sample
from bench.population import REVOCATIONS, Population, churn, populate, staleness
from bench.replica import Replica, Signer, environment, running
from rich.console import Console
from rich.table import Table

from berth_api.app import make_state
from berth_api.auth.authentication import standing_of
from berth_api.config import from_environment
from berth_cluster import apiserver
from berth_cluster.paths import REPOSITORY
from berth_cluster.testing import Namespaces, apply_crds, make_namespaces
from berth_core.client import Client, connected

RESULT: Final = REPOSITORY / ".berth" / "bench" / "api.json"
INFO_RATE: Final = 20.0
HEALTH_RATE: Final = 20.0
LISTS: Final = (
    ("/workspaces", 3),
    ("/deployments?max_per_page=20", 4),
    ("/deployments?max_per_page=50&page=7&sort_by=dec_created", 2),
    ("/deployments?max_per_page=20&sort_by=inc_count", 2),
    ("/deployments/type_07", 4),
    ("/deployments/type_11?maxlen=0", 4),
    ("/deployments?types=type_01,type_02,type_03&info&max_per_page=20", 2),
    ("/deployments?types=!type_04&maxlen=0&max_per_page=10", 2),
    ("/deployments?q=WINDOW&max_per_page=20", 2),
    ("/deployments?q=region-3&sort_by=dec_count&max_per_page=20", 2),
    ("/deployments", 1),
)
"""Public lists with their weights; the last is all ids on one page."""


@dataclass(frozen=True)
class Options:
    """The command line."""

    rate: float
    seconds: float
    deployments: int
    instances: int
    churn: float


@dataclass
class Report:
    """Rows of the table: figure, n, p50, p99, max in milliseconds; and other figures with their units."""

    options: Options
    times: dict[str, dict[str, float]] = field(default_factory=dict)
    others: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, seconds: Iterable[float]) -> None:
        """Add a row."""
        ordered = sorted(1000 * one for one in seconds)
        if ordered:
            p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
            self.times[name] = {"n": len(ordered), "p50": statistics.median(ordered), "p99": p99, "max": ordered[-1]}

    def load(self, name: str, samples: list[Sample]) -> None:
        """Add a row for all requests but those to /healthz, and one for each kind of request."""
        asked = [s for s in samples if s.figure != "healthz"]
        self.add(f"{name}: all", (s.seconds for s in asked))
        for figure in sorted({s.figure for s in samples}):
            self.add(f"{name}: {figure}", (s.seconds for s in samples if s.figure == figure))
        self.others[f"{name}: answers that were not 200"] = sum(s.status != 200 for s in samples)

    def show(self, console: Console) -> None:
        """Print both tables."""
        table = Table("figure", "n", "p50", "p99", "max", title="milliseconds")
        for name, row in self.times.items():
            table.add_row(name, f"{row['n']:.0f}", *(f"{row[column]:.2f}" for column in ("p50", "p99", "max")))
        console.print(table)
        rest = Table("figure", "value")
        for name, value in self.others.items():
            rest.add_row(name, f"{value:.1f}")
        console.print(rest)

    def save(self) -> None:
        """Write everything as JSON."""
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(
            json.dumps({"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())} | asdict(self), indent=1)
        )


def mixed(found: Population, signer: Signer) -> tuple[Request, ...]:
    """Requests to draw from: three fifths lists, one fifth single deployments, one fifth the callers' instances."""
    draw, size = random.Random(3), 5000  # noqa: S311 (repeatable)
    tokens = {user: signer.token(user) for _, user in found.instances}
    paths = draw.choices([path for path, _ in LISTS], [weight for _, weight in LISTS], k=3 * size)
    lists = (Request("full list" if path == "/deployments" else "list", path) for path in paths)
    single = (Request("one deployment", f"/deployment/{name}") for name in draw.choices(found.deployments, k=size))
    own = (
        Request("one instance", f"/instance/{instance}", tokens[user])
        for instance, user in draw.choices(found.instances, k=size)
    )
    return (*lists, *single, *own)


async def generate(plan: Plan) -> list[Sample]:
    """Run a generator in a process of its own; bounded by the plan's length and some patience."""
    command = [sys.executable, "-m", "bench.load"]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY
    )
    try:
        async with asyncio.timeout(plan.seconds + 60):
            output, _ = await process.communicate(plan.dump().encode())
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode != 0:
        raise RuntimeError(f"the generator ended with status {process.returncode}")
    return [Sample(**raw) for raw in json.loads(output)]


async def loads(report: Report, replica: Replica, client: Client, found: Population, signer: Signer) -> None:
    """Put the replica under load, in three steps."""
    options, url = report.options, replica.url
    everything = Plan(url, options.rate, options.seconds, mixed(found, signer))
    health = Plan(url, HEALTH_RATE, options.seconds, (Request("healthz", "/healthz"),), seed=2)

    async def both() -> list[Sample]:
        busy = replica.cpu()
        one, two = await asyncio.gather(generate(everything), generate(health))
        report.others["processor of the API under load, %"] = 100 * (replica.cpu() - busy) / options.seconds
        return one + two

    # The first requests after a start meet cold connections.
    await generate(Plan(url, options.rate, 2.0, everything.requests, seed=4))
    report.load("quiet", await both())
    seconds = options.seconds
    samples, changes, stale = await asyncio.gather(
        both(),
        churn(client, found, options.churn, seconds),
        staleness(client, found.namespace, url, seconds),
    )
    report.load(f"{options.churn:.0f} lease changes/s", samples)
    report.others["lease changes made a second"] = changes / seconds
    report.add("a public list shows a change after", stale)
    pages = (Request("page with info", "/deployments?info&max_per_page=100"),)
    report.load(f"{INFO_RATE:.0f}/s", await generate(Plan(url, INFO_RATE, options.seconds, pages, seed=5)))


async def verification(report: Report, settings: dict[str, str], client: Client, signer: Signer) -> None:
    """Time what a request's token costs, as the middleware judges it, with revocations around."""
    state = make_state(from_environment(settings), client)
    following = asyncio.create_task(state.revocations.run())
    try:
        while not state.revocations.is_synced:
            await asyncio.sleep(0.01)
        tokens = [f"Bearer {signer.token(f'user-{n:03}')}" for n in range(200)]
        for name in ("token seen for the first time", "token seen before"):
            spent = []
            for token in tokens:
                begun = time.perf_counter()
                standing = standing_of(state, [token])
                spent.append(time.perf_counter() - begun)
                if standing.identity is None:
                    raise RuntimeError("a token of the bench was refused")
            report.add(f"{name} ({REVOCATIONS} revocations)", spent)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def measure(report: Report, server: apiserver.ApiServer, namespaces: Namespaces, folder: Path) -> None:
    """Make the resources, then take all figures."""
    console, options, signer = Console(stderr=True), report.options, Signer(folder)
    async with connected("berth-bench", str(server.kubeconfig)) as client:
        begun = time.monotonic()
        found = await populate(client, namespaces.workspaces, namespaces.access, options.deployments, options.instances)
        console.print(
            f"made {options.deployments} deployments, {options.instances} instances: {time.monotonic() - begun:.0f} s"
        )
        settings = environment(server.kubeconfig, namespaces, signer.jwks)
        with running(settings, folder / "api.log") as replica:
            report.others["start to /readyz 200, s"] = replica.started
            report.others["resident memory after the start, MB"] = replica.resident()[0]
            await loads(report, replica, client, found, signer)
            now, most = replica.resident()
            report.others |= {"resident memory at the end, MB": now, "most resident memory, MB": most}
        await verification(report, settings, client, signer)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=300.0, help="requests a second of the mixed load")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each of the three loads")
    parser.add_argument("--deployments", type=int, default=10_000)
    parser.add_argument("--instances", type=int, default=2_000)
    parser.add_argument("--churn", type=float, default=10.0, help="lease changes a second in the second load")
    report = Report(Options(**vars(parser.parse_args())))
    with tempfile.TemporaryDirectory(prefix="berth-bench-") as folder:
        with apiserver.running(Path(folder) / "apiserver") as server:
            apply_crds(server)
            asyncio.run(measure(report, server, make_namespaces(server), Path(folder)))
    report.show(Console())
    report.save()


if __name__ == "__main__":
    main()
