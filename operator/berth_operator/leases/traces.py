"""Traces of leases and warm pods, by the deployment's name, listed once for many deployments.

A shared list proves only that there is no trace; any trace that it shows must be looked at again.
"""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from berth_core import names
from berth_core.kube.client import Client
from berth_core.leases.epochs import Trace, traces
from berth_operator.engine.writes import together
from berth_operator.kinds import JOBS, PODS, SECRETS, SERVICES

LISTED: Final = (SERVICES, SECRETS, JOBS, PODS)


@dataclass
class _Shared:
    version: int = -1
    by_name: dict[str, list[Trace]] = field(default_factory=dict)


class Traces:
    """Lists of each namespace, as of the last time that a pass needed a later one."""

    def __init__(self) -> None:
        self._shared: dict[str, _Shared] = defaultdict(_Shared)
        self._lock = asyncio.Lock()

    async def of(self, client: Client, namespace: str, deployment: str, version: int) -> list[Trace]:
        """Return traces at a resourceVersion that is not before ``version``, the deployment's own."""
        async with self._lock:
            if self._shared[namespace].version < version:
                self._shared[namespace] = await _list(client, namespace)
            return self._shared[namespace].by_name.get(deployment, [])


async def live(client: Client, namespace: str, deployment: str) -> list[Trace]:
    """Return the present traces of one deployment."""
    labels = {names.DEPLOYMENT_LABEL: deployment}
    lists = await together(*(client.list(kind, namespace, labels=labels, metadata_only=True) for kind in LISTED))
    return [one for objects, _ in lists for one in traces(objects)]


async def _list(client: Client, namespace: str) -> _Shared:
    labels = {names.DEPLOYMENT_LABEL: ""}
    lists = await together(*(client.list(kind, namespace, labels=labels, metadata_only=True) for kind in LISTED))
    shared = _Shared(min(int(version) for _, version in lists))
    for objects, _ in lists:
        for one in traces(objects):
            shared.by_name.setdefault(one.deployment, []).append(one)
    return shared
