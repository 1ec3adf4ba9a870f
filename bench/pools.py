"""Measures pods that are kept warm, of Berth (bench/warm.py) or of a peer (bench/peer).

The pool is filled from nothing. Its pods are claimed one by one, each when all pods are warm again and the machine is
quiet, and then all at once. One watch of all claims tells when each is READY: polling clients would disturb the
measured processes on the same machine.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final, Protocol, TypeVar

from bench.report import Report
from rich.console import Console
from rich.progress import track

from berth_core.kube.client import Client
from berth_core.kube.types import Kind, Object

ANSWERED: Final = "answered"
READY: Final = "→ READY"
"""Names of the figures that every pool has, from the request on."""
ONE: Final = 0.020
MANY: Final = 0.100
"""Seconds between SYNs: of one client, and of each of many, which share the machine with the measured processes."""
LOOK_EVERY: Final = 0.25
QUIET: Final = 0.75
"""Share of a second for which all processors are idle on a quiet machine."""
FILL_DEADLINE: Final = 300.0
READY_DEADLINE: Final = 60.0

Place = TypeVar("Place")
Sample = dict[str, float]
"""Seconds of one claim by name of the figure."""


class Pool(Protocol[Place]):
    """Pods of one system that are kept warm."""

    @property
    def count(self) -> int:
        """Number of pods."""

    async def make(self) -> None:
        """Ask for the pods."""

    async def full(self) -> bool:
        """Whether every pod is unclaimed and runs."""

    async def places(self) -> Sequence[Place]:
        """Return what can be claimed in a full pool."""

    async def claim(self, place: Place, every: float, /) -> tuple[str, Sample]:
        """Claim a pod, with ``every`` seconds between SYNs to it; return the claim's name and its figures."""

    async def give_back(self, claim: str) -> None:
        """End a claim."""

    async def listen(self) -> None:
        """Note when each claim is READY, until cancelled."""

    async def remove(self) -> None:
        """Delete everything, also what an interrupted run left, and wait until no pod is there."""


class ReadyTimes(defaultdict[str, "asyncio.Future[float]"]):
    """Time when each claim, by name, was READY."""

    def __init__(self) -> None:
        super().__init__(asyncio.Future)

    async def listen(self, cluster: Client, kind: Kind, namespace: str) -> None:
        """Follow the claims, until cancelled."""
        _, version = await cluster.list(kind, namespace, metadata_only=True)
        while True:
            async for event in cluster.watch(kind, namespace, version):
                metadata, conditions = event.object["metadata"], (event.object.get("status") or {}).get("conditions")
                version = metadata["resourceVersion"]
                is_ready = any((c["type"], c["status"]) == ("Ready", "True") for c in conditions or ())
                if is_ready and not (known := self[metadata["name"]]).done():
                    known.set_result(monotonic())

    async def of(self, claim: str) -> float:
        """Wait for a claim, for at most a minute."""
        async with asyncio.timeout(READY_DEADLINE):
            return await self[claim]


@dataclass(frozen=True)
class Figures:
    """Results for one pool; times are seconds."""

    filled: float
    """From the first request until all pods were warm."""
    one_by_one: Sequence[Sample]
    at_once: Sequence[Sample]

    def add_to(self, report: Report, system: str) -> None:
        """Add rows under the name of the system."""
        for title, samples in self.parts().items():
            for name in samples[0] if samples else ():
                report.add(row(system, title, name), (sample[name] for sample in samples))
        last = max(sample[READY] for sample in self.at_once)
        report.others[f"{system}, {len(self.at_once)} at once: READY a second"] = len(self.at_once) / last
        report.others[f"{system}, {len(self.at_once)} warm pods from nothing, s"] = self.filled

    def parts(self) -> dict[str, Sequence[Sample]]:
        """Samples by the title of the part."""
        return {"one by one": self.one_by_one, f"{len(self.at_once)} at once": self.at_once}


def row(system: str, title: str, figure: str) -> str:
    """Name of a row of the report."""
    return f"{system}, {title}: {figure}"


async def measure(pool: Pool[Place], runs: int) -> Figures:
    """Fill a pool, claim its pods, and remove it again, also when it is interrupted."""
    await _remove(pool)
    listening = asyncio.create_task(pool.listen())
    try:
        await quiet()
        begun = monotonic()
        await pool.make()
        await _fill(pool)
        filled = monotonic() - begun
        one_by_one = []
        for number in track(range(runs), "one by one", console=Console(stderr=True)):
            # Each when all is quiet again, so that the cleanup of one claim is not part of the next figure.
            await _settle(pool)
            claim, took = await pool.claim((await pool.places())[number % pool.count], ONE)
            one_by_one.append(took)
            await pool.give_back(claim)
        await _settle(pool)
        claimed = await asyncio.gather(*(pool.claim(place, MANY) for place in await pool.places()))
        await asyncio.gather(*(pool.give_back(claim) for claim, _ in claimed))
    finally:
        listening.cancel()
        await _remove(pool)
    return Figures(filled, one_by_one, [took for _, took in claimed])


async def _remove(pool: Pool[Place]) -> None:
    async with asyncio.timeout(FILL_DEADLINE):
        await pool.remove()


async def _fill(pool: Pool[Place]) -> None:
    """Wait until all pods are warm."""
    async with asyncio.timeout(FILL_DEADLINE):
        while not await pool.full():
            await asyncio.sleep(LOOK_EVERY)


async def _settle(pool: Pool[Place]) -> None:
    """Wait until all pods are warm and the machine is quiet."""
    await _fill(pool)
    await quiet()
    await _fill(pool)


async def quiet() -> None:
    """Wait until the machine is quiet.

    The runtime cleans up after a pod some seconds later, and takes half a second of processor time for it.
    """
    async with asyncio.timeout(FILL_DEADLINE):
        while await _idle_share(1.0) < QUIET:
            pass


def runs(pod: Object) -> bool:
    """Whether all containers of a pod run and nobody has deleted it."""
    spec, status = pod["spec"], pod["status"]
    statuses = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    complete = len(statuses) == len([*spec.get("initContainers", []), *spec["containers"]])
    return (
        complete and all("running" in one["state"] for one in statuses) and not pod["metadata"].get("deletionTimestamp")
    )


async def _idle_share(seconds: float) -> float:
    """Share of the processors' time that is idle (proc_stat(5)), over so many seconds from now."""

    def read() -> tuple[int, int]:
        ticks = [int(word) for word in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
        return ticks[3], sum(ticks)

    idle, total = read()
    await asyncio.sleep(seconds)
    idle_then, total_then = read()
    return (idle_then - idle) / (total_then - total)
