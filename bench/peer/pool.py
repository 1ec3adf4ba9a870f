"""A pool of the peer's, by its resources: a :class:`~bench.pools.Pool`."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count as counting
from pathlib import Path
from time import monotonic

from bench.peer.manifests import CLAIMS, NAMESPACE, POOLS, SECRETS, TEMPLATES, UNCLAIMED, claim, pool_of
from bench.pools import ANSWERED, LOOK_EVERY, READY, ReadyTimes, Sample, runs

from berth_core.kube.client import Client
from berth_core.kube.types import PODS


@dataclass(frozen=True)
class PeerPool:
    """A SandboxWarmPool, from which SandboxClaims take pods."""

    cluster: Client
    count: int
    host_key: Path
    """Private half of the host key that all pods have, beside its public half."""
    ready: ReadyTimes = field(default_factory=ReadyTimes)
    cold: list[str] = field(default_factory=list)
    """Claims that got a new pod, since the pool had none for them."""
    numbers: Iterator[int] = field(default_factory=counting)

    async def make(self) -> None:
        """Make the template and the pool."""
        for kind, manifest in pool_of(self.count, self.host_key):
            await self.cluster.create(kind, NAMESPACE, manifest)

    async def remove(self) -> None:
        """Delete claims, pool and template, and wait until the pods are gone."""
        for kind in (CLAIMS, POOLS, TEMPLATES, SECRETS):
            for one in (await self.cluster.list(kind, NAMESPACE, metadata_only=True))[0]:
                await self.cluster.delete(kind, NAMESPACE, one["metadata"]["name"])
        while (await self.cluster.list(PODS, NAMESPACE, metadata_only=True))[0]:
            await asyncio.sleep(LOOK_EVERY)

    async def full(self) -> bool:
        """Whether as many unclaimed pods run as the pool is to have."""
        pods, _ = await self.cluster.list(PODS, NAMESPACE, labels=UNCLAIMED)
        return sum(map(runs, pods)) >= self.count

    async def places(self) -> Sequence[str]:
        """Return names for new claims; the peer chooses the pods."""
        return [f"claim-{next(self.numbers)}" for _ in range(self.count)]

    async def claim(self, name: str, _every: float, /) -> tuple[str, Sample]:
        """Make a claim; return its name, and seconds until answer and READY."""
        asked = monotonic()
        await self.cluster.create(CLAIMS, NAMESPACE, claim(name))
        took = {ANSWERED: monotonic() - asked}
        took[READY] = await self.ready.of(name) - asked
        return name, took

    async def give_back(self, name: str) -> None:
        """Delete a claim, and note whether it had a pod that was not warm: such a Sandbox has the claim's name."""
        if (await self.cluster.get(CLAIMS, NAMESPACE, name))["status"]["sandbox"]["name"] == name:
            self.cold.append(name)
        await self.cluster.delete(CLAIMS, NAMESPACE, name)

    async def listen(self) -> None:
        """Note when each claim is READY, until cancelled."""
        await self.ready.listen(self.cluster, CLAIMS, NAMESPACE)
