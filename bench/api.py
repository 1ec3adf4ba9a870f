"""Measures one replica of the API, with many resources, on etcd and kube-apiserver that it starts for itself.

``make bench-api``, or ``python -m bench.api``. Steps: make the resources; start the API; the mixed load, first without
changes, then while leases change; pages with ``info``; verification of tokens. Prints a table, writes
``.berth/bench/api.json``, and ends by itself; nothing here passes or fails. All of it is on loopback.
"""

import argparse
import asyncio
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.load import Plan, Request, Sample, generate
from bench.population import REVOCATIONS, Population, churn, populate, staleness
from bench.replica import Replica, Signer, environment, running
from bench.report import Report
from rich.console import Console

from berth_api.app import make_state
from berth_api.auth.authentication import standing_of
from berth_api.config import from_environment
from berth_core.kube.client import Client
from berth_core.kube.connection import connected
from berth_dev.envtest import apiserver
from berth_dev.envtest.testing import Namespaces, apply_crds, make_namespaces

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


async def loads(
    report: Report, options: Options, replica: Replica, client: Client, found: Population, signer: Signer
) -> None:
    """Put the replica under load, in three steps."""
    url = replica.url
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
    """Time the middleware's check of a request's token, with revocations present."""
    tokens = [f"Bearer {signer.token(f'user-{n:03}')}" for n in range(200)]  # takes longer than a view may be old
    state = make_state(from_environment(settings), client, client)
    following = asyncio.create_task(state.revocations.run())
    try:
        while not state.revocations.is_synced:
            await asyncio.sleep(0.01)
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


async def measure(
    report: Report, options: Options, server: apiserver.ApiServer, namespaces: Namespaces, folder: Path
) -> None:
    """Make the resources, then take all figures."""
    console, signer = Console(stderr=True), Signer(folder)
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
            await loads(report, options, replica, client, found, signer)
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
    given = vars(parser.parse_args())
    report = Report("api", given)
    with tempfile.TemporaryDirectory(prefix="berth-bench-") as folder:
        with apiserver.running(Path(folder) / "apiserver") as server:
            apply_crds(server)
            asyncio.run(measure(report, Options(**given), server, make_namespaces(server), Path(folder)))
    report.show(Console())
    report.save()


if __name__ == "__main__":
    main()
