"""Where a scenario is played: namespaces, a machine, and operators that each have a fault proxy of their own."""

import asyncio
import difflib
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from forked import Process

from berth_core.kube.types import Kind, Object
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces

from ..envtest.operator.builds import CI
from ..envtest.operator.lab import (
    BUILDS,
    DELIVERIES,
    DEPLOYMENTS,
    INSTANCES,
    LEASES,
    PROJECTS,
    RESERVATIONS,
    RULES,
    TYPES,
    Lab,
)
from ..envtest.operator.process import Operators, restricted_kubeconfig
from .dump import dump, unnumbered, worded
from .jobs import jobs_played
from .machine import Machine, machine
from .proxy import FaultProxy, fault_proxy
from .waiting import TICK, until

LEADER = "berth-operator"
GENERATION = re.compile(r"(\bberth e\d+ )g\d+")
"""In the comment of an agent's table: each leader has numbers of its own."""
STARTED_SECONDS = 120.0
"""In which an operator leads, on a busy machine too."""


@dataclass
class Replica:
    """An operator process, and the proxy through which it reaches the cluster."""

    process: Process
    proxy: FaultProxy
    number: int
    _open: AsyncExitStack

    async def stop(self, number: int = signal.SIGTERM) -> None:
        """End it."""
        self.process.send_signal(number)
        await asyncio.to_thread(self.process.wait, 60)
        await self._open.aclose()


@dataclass
class Stage:
    """See the module; made by :func:`stage`."""

    lab: Lab
    machine: Machine
    operators: Operators
    folder: Path
    replicas: list[Replica] = field(default_factory=list)

    async def start(self, **environment: str) -> Replica:
        """One more operator."""
        opened = AsyncExitStack()
        proxy = await opened.enter_async_context(fault_proxy(self.operators.kubeconfig))
        number = len(self.operators.running)
        kubeconfig = proxy.kubeconfig(self.operators.kubeconfig, self.folder / f"operator-{number}.kubeconfig")
        # Stages side by side share an API server, and so each other's nodes, which come and go.
        own = {"BERTH_BLOCK_CLUSTER_NETWORKS": "false", "BERTH_CLONE_IMAGE": CI["BERTH_CI_IMAGE"]} | CI | environment
        process = self.operators.start(KUBECONFIG=str(kubeconfig), **own)
        made = Replica(process, proxy, number, opened)
        self.replicas.append(made)
        return made

    async def leads(self, replica: Replica, *, seconds: float = STARTED_SECONDS) -> None:
        """Wait until a replica leads."""
        await self.lab.until(
            LEASES,
            LEADER,
            lambda lease: _is_held_by(replica, lease),
            namespace=self.lab.namespaces.release,
            seconds=seconds,
        )

    async def is_led_by(self, replica: Replica) -> bool:
        """Whether a replica leads now."""
        return _is_held_by(replica, await self.lab.client.get(LEASES, self.lab.namespaces.release, LEADER))

    async def pair(self) -> tuple[Replica, Replica]:
        """Two operators: the one that leads, and the one that waits."""
        one, two = await self.start(), await self.start()
        lease = await self.lab.until(
            LEASES,
            LEADER,
            lambda lease: lease["spec"].get("holderIdentity"),
            namespace=self.lab.namespaces.release,
            seconds=STARTED_SECONDS,
        )
        return (one, two) if _is_held_by(one, lease) else (two, one)

    async def bury(self, replica: Replica) -> None:
        """Take note that a replica is dead: surely so, and nobody need wait for its lease of the leader to run out."""
        await asyncio.to_thread(replica.process.wait, 20)
        await self.lab.client.delete(LEASES, self.lab.namespaces.release, LEADER)
        self.replicas.remove(replica)
        await replica._open.aclose()

    async def seen(self) -> list[str]:
        """Content of the namespaces, and the state that the agent has put in force."""
        inside = self.machine.in_force()
        outside = await dump(self.lab.client, self.lab.namespaces)
        table = GENERATION.sub(r"\1<generation>", inside["table"])
        return [*outside, *table.splitlines(), worded(inside["keys"])]

    async def silent(self, replica: Replica, *, quiet: float = 0.7, seconds: float = 30) -> None:
        """Wait until a replica has written nothing for a while."""
        await until(lambda: replica.proxy.quiet_for() >= quiet, "the operator writes no more", seconds)

    async def settled(self, replica: Replica, *, quiet: float = 0.7, seconds: float = 30) -> list[str]:
        """State once a replica has written nothing for a while."""
        await self.silent(replica, quiet=quiet, seconds=seconds)
        return await self.seen()

    async def comes_to(self, wanted: list[str], replica: Replica, *, after: str, seconds: float = 30) -> None:
        """Wait until everything is so, and stays so while the replica writes nothing more.

        How often an object was changed on the way does not count.
        """
        deadline = time.monotonic() + seconds
        wanted = unnumbered(wanted)
        while (now := unnumbered(await self.settled(replica))) != wanted:
            if time.monotonic() > deadline:
                difference = "\n".join(difflib.unified_diff(wanted, now, "undisturbed", "disturbed", lineterm="", n=6))
                pytest.fail(f"{after} ends otherwise than an undisturbed run:\n{difference}")
            await asyncio.sleep(TICK)

    async def clear(self) -> None:
        """Delete all of ours; what cannot be deleted is stuck, and fails the test."""
        for kind in (BUILDS, PROJECTS, RESERVATIONS, DELIVERIES, INSTANCES, DEPLOYMENTS, RULES, TYPES):
            await self._delete_all(kind)
        left = [line for line in await dump(self.lab.client, self.lab.namespaces) if "/i-" in line or "/b-" in line]
        assert left == [], "orphans"
        await until(self._nothing_warm, "nothing is kept warm any more", 30)

    async def _nothing_warm(self) -> bool:
        return not any("/w-" in line for line in await dump(self.lab.client, self.lab.namespaces))

    async def _delete_all(self, kind: Kind) -> None:
        objects, _ = await self.lab.client.list(kind, self.lab.namespace)
        for obj in objects:
            await self.lab.client.delete(kind, self.lab.namespace, obj["metadata"]["name"])
        for obj in objects:
            await self.lab.until_gone(kind, obj["metadata"]["name"], seconds=30)


def _is_held_by(replica: Replica, lease: Object) -> bool:
    return str(lease["spec"].get("holderIdentity")).startswith(f"operator-{replica.number}_")


@asynccontextmanager
async def stage(server: ApiServer, namespaces: Namespaces, lab: Lab, folder: Path) -> AsyncIterator[Stage]:
    """A stage with nobody on it yet."""
    # kubectl is waited for in a thread: the proxies of other stages are served by this event loop.
    kubeconfig = await asyncio.to_thread(restricted_kubeconfig, server, namespaces, folder)
    operators = Operators(kubeconfig, namespaces, folder)
    async with machine(lab.client, namespaces.workspaces, folder / "machine") as played, jobs_played(lab):
        made = Stage(lab, played, operators, folder)
        try:
            yield made
        finally:
            for replica in made.replicas:
                if replica.process.poll() is None:
                    replica.process.send_signal(signal.SIGCONT)
            await asyncio.gather(*(replica.stop() for replica in made.replicas if replica.process.poll() is None))
