"""Measures warm pods of Berth and of a peer, kubernetes-sigs/agent-sandbox, one after the other on one cluster.

``make bench-peer`` runs it in the network namespace of an outside client. Berth goes first, by POST /new/<id>
(bench/warm.py). Then the peer is installed, measured by a SandboxClaim from a SandboxWarmPool with the same pods, and
removed. One client watches both. Prints tables with ratios, and writes ``.berth/bench/peer.json``.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

from bench import warm
from bench.peer.installation import installed
from bench.peer.pool import PeerPool
from bench.pools import READY, Figures, measure, row
from bench.report import Report
from rich.console import Console

from berth_core.kube.connection import connected
from berth_dev.cluster import nodes
from berth_dev.envtest.apiserver import ApiServer

PEER: Final = "agent-sandbox"


def compare(report: Report, ours: Figures, theirs: Figures) -> None:
    """Add the rows of both, and ratios of Berth's figures to the peer's: below 1 Berth is faster."""
    ours.add_to(report, warm.SYSTEM)
    theirs.add_to(report, PEER)
    ratio = f"{warm.SYSTEM} / {PEER}"
    for title in ours.parts():
        rows = [report.times.get(row(system, title, READY)) for system in (warm.SYSTEM, PEER)]
        for column in ("p50", "p90"):
            if rows[0] and rows[1]:
                report.others[f"{ratio}, {title}: {READY}, {column}"] = rows[0][column] / rows[1][column]
    report.others[f"{ratio}, {len(ours.at_once)} warm pods from nothing"] = ours.filled / theirs.filled


async def measured(server: ApiServer, options: argparse.Namespace, folder: Path) -> tuple[Figures, int]:
    """Measure the installed peer; return its figures, and how many claims got a pod that was not warm."""
    async with connected("berth-bench", str(server.kubeconfig)) as cluster:
        pool = PeerPool(cluster, options.burst, warm.new_key(folder))
        return await measure(pool, options.runs), len(pool.cold)


def main() -> None:
    """Measure both and print."""
    parser = warm.arguments(__doc__, runs=15)
    parser.add_argument("--hold-back", type=float, default=3.0, help="seconds until the peer replaces claimed pods")
    options = parser.parse_args()
    # Then everything that was made is removed, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = nodes.find()
    if server is None:
        sys.exit("no local cluster runs: start it with `make up`")
    report = Report("peer", {"runs": options.runs, "burst": options.burst, "hold back, s": options.hold_back})
    ours = asyncio.run(warm.measured(options, sys.stdin.readline().strip()))
    with tempfile.TemporaryDirectory() as scratch, installed(server, options.hold_back, Path(scratch)):
        theirs, cold = asyncio.run(measured(server, options, Path(scratch)))
    compare(report, ours, theirs)
    report.others[f"{PEER}: claims that no warm pod served"] = cold
    report.show(Console())
    report.save()


if __name__ == "__main__":
    main()
