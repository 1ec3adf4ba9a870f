"""Measures leases on etcd and kube-apiserver that it starts for itself, with many deployments.

``make bench-leases``, or ``python -m bench.leases``. Parts: ``grants`` and ``contest`` with the API alone; ``lives``
and ``turns`` with API, operator and a played node (bench/played.py); ``restart`` with the operator and many played
instances. Prints a table and writes ``.berth/bench/leases.json``. It fails only where a deployment is granted to two.
All of it is on loopback. The chart's admission policies are not installed.
"""

import argparse
import asyncio
import json
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bench.controller import operating
from bench.grants import contesting, granting
from bench.lives import Cluster, lives, turns
from bench.played import ADDRESS, NODE, playing
from bench.population import Population, populate
from bench.replica import Signer, environment, running
from bench.report import Report
from bench.restart import launch, lock, reconciled, restart
from rich.console import Console

from berth_core.kube.client import Client
from berth_core.kube.connection import connected
from berth_dev.envtest import apiserver
from berth_dev.envtest.accounts import EVERYTHING, account
from berth_dev.envtest.testing import Namespaces, apply_crds, make_namespaces

PARTS: Final = ("grants", "contest", "lives", "turns", "restart")


@dataclass(frozen=True)
class Options:
    """The command line."""

    parts: list[str]
    deployments: int
    instances: int
    seconds: float
    folder: Path | None


@dataclass(frozen=True)
class Bench:
    """Objects that all parts use."""

    options: Options
    report: Report
    server: apiserver.ApiServer
    namespaces: Namespaces
    client: Client
    folder: Path
    console: Console


async def measure(bench: Bench) -> None:
    """Make the resources, then take the figures of the parts that were asked for."""
    options, signer = bench.options, Signer(bench.folder)
    begun = time.monotonic()
    places = bench.namespaces.workspaces, bench.namespaces.access
    found = await populate(bench.client, *places, options.deployments, 0)
    bench.console.print(f"made {options.deployments} deployments: {time.monotonic() - begun:.0f} s")
    if {"grants", "contest"} & set(options.parts):
        await _with_api_alone(bench, found, signer)
    if {"lives", "turns", "restart"} & set(options.parts):
        await _with_operator(bench, found, signer)


async def _with_api_alone(bench: Bench, found: Population, signer: Signer) -> None:
    config = account(bench.server, "api", bench.namespaces.release, EVERYTHING, bench.folder)
    settings = environment(config, bench.namespaces, signer.jwks)
    with running(settings, bench.folder / "api.log") as replica:
        if "grants" in bench.options.parts:
            await granting(bench.report, replica, bench.client, found, signer, bench.options.seconds)
        if "contest" in bench.options.parts:
            await contesting(bench.report, replica, bench.client, found, signer)


async def _with_operator(bench: Bench, found: Population, signer: Signer) -> None:
    options, report, client = bench.options, bench.report, bench.client
    config = account(bench.server, "operator", bench.namespaces.release, EVERYTHING, bench.folder)
    environs = {"BERTH_NODE_ADDRESSES": json.dumps({NODE: ADDRESS})}
    operator = partial(operating, config, bench.namespaces, bench.folder / "operator.log", **environs)
    async with playing(client, bench.namespaces) as puppets:
        with operator() as controller:
            seconds, _ = await reconciled(controller)
            report.others["operator: first start to all reconciled, every status to be written, s"] = seconds
            if {"lives", "turns"} & set(options.parts):
                settings = environment(bench.server.kubeconfig, bench.namespaces, signer.jwks)
                with running(settings, bench.folder / "api.log") as replica:
                    cluster = Cluster(bench.server, client, replica, controller)
                    if "lives" in options.parts:
                        await lives(report, cluster, found, signer, options.seconds)
                    if "turns" in options.parts:
                        await turns(report, cluster, found, signer)
            if "restart" not in options.parts:
                return
            begun = time.monotonic()
            await launch(client, found, options.instances)
            bench.console.print(f"launched {options.instances} instances: {time.monotonic() - begun:.0f} s")
        locked = await lock(client, found)
        puppets.states.clear()
        with operator() as controller:
            await restart(report, client, controller, puppets, found, locked)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--deployments", type=int, default=10_000)
    parser.add_argument("--instances", type=int, default=2_000, help="instances when the operator is started again")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the load of grants, and of the lives")
    parser.add_argument("--folder", type=Path, help="where logs are kept; else nowhere")
    options = Options(**vars(parser.parse_args()))
    given = {"parts": options.parts, "deployments": options.deployments, "instances": options.instances}
    report, console = Report("leases", given | {"seconds": options.seconds}), Console()
    with tempfile.TemporaryDirectory(prefix="berth-bench-") as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        with apiserver.running(Path(scratch) / "apiserver") as server:
            apply_crds(server)
            try:
                asyncio.run(_run(options, report, server, folder))
            finally:
                report.show(console)
                report.save()


async def _run(options: Options, report: Report, server: apiserver.ApiServer, folder: Path) -> None:
    async with connected("berth-bench", str(server.kubeconfig)) as client:
        await measure(Bench(options, report, server, make_namespaces(server), client, folder, Console(stderr=True)))


if __name__ == "__main__":
    main()
