"""Measures a restart of the operator with many deployments, and many instances on a played node."""

import asyncio
from datetime import UTC, datetime
from time import monotonic
from typing import Final

from bench.controller import Controller, Passes
from bench.population import HOST_KEY, Population, in_parallel
from bench.report import Report

from berth_core import ids, names
from berth_core.kube.client import Client
from berth_core.kube.types import Object
from berth_core.leases import leasing
from berth_core.leases.availability import AVAILABLE
from berth_core.resources import Instance, WorkspaceDeployment
from berth_dev.envtest.puppets import Puppets

LOCKED: Final = 100
"""Deployments that are locked while no operator runs."""
QUIET_SECONDS: Final = 5.0
"""Time without a pass and without waiting keys after which earlier work counts as done."""
OBJECTS: Final = frozenset({"type", "deployment", "instance", "orphan", "reservation", "turn"})
PATIENCE: Final = 600.0
IDLE_SECONDS: Final = 30.0


async def launch(client: Client, found: Population, count: int) -> None:
    """Make instances as the API does for ``POST /new``, and return when each has been ready."""
    made = [ids.uuid7(number) for number in range(count)]

    async def one(name: str, deployment: str) -> None:
        now, user = datetime.now(UTC), "ada"
        lease = await leasing.take(client, found.namespace, deployment, instance=name, user=user, now=now)
        spec: Object = {
            "deployments": [deployment],
            "claim": {"deployment": deployment, "epoch": lease.epoch},
            "user": user,
            "requesterAddress": "192.0.2.7",
            "sshKeys": [HOST_KEY],
        }
        body = {"apiVersion": names.API_VERSION, "kind": Instance.KIND, "metadata": {"name": name}, "spec": spec}
        await client.create(Instance.api(), found.namespace, body)

    await in_parallel(one(name, deployment) for name, deployment in zip(made, found.free, strict=False))
    async with asyncio.timeout(PATIENCE):
        while set(made) - await _ready(client, found.namespace):
            await asyncio.sleep(1)


async def lock(client: Client, found: Population) -> list[str]:
    """Lock some free deployments; return their names."""
    chosen = list(found.free[-LOCKED:])

    async def one(name: str) -> None:
        await client.patch(WorkspaceDeployment.api(), found.namespace, name, {"spec": {"lockout": True}})

    await in_parallel(one(name) for name in chosen)
    return chosen


async def reconciled(controller: Controller) -> tuple[float, Passes]:
    """Seconds from the operator's start until nothing was left to do, and its passes."""
    last, since = Passes({}, 0, 1.0), monotonic()
    async with asyncio.timeout(PATIENCE):
        while not last.done or monotonic() - since < QUIET_SECONDS:
            await asyncio.sleep(0.2)
            now = await controller.passes()
            if now is not None and (now.age > 0 or _of_objects(now) != _of_objects(last)):
                last, since = now, monotonic()
    return since - controller.begun, last


async def restart(
    report: Report, client: Client, controller: Controller, puppets: Puppets, found: Population, locked: list[str]
) -> None:
    """Measure an operator that was just started, with instances and locks made before."""
    seconds, passes = await reconciled(controller)
    report.others["operator: start to all reconciled, s"] = seconds
    report.others |= {f"operator: passes, {sort}": count for sort, count in sorted(passes.done.items())}
    report.others["operator: passes that failed"] = passes.failed
    report.others["operator: agents it pushed to"] = len(puppets.states)
    report.others["operator: processor time of the start, s"] = controller.cpu()
    shown = await _locked(client, found.namespace)
    report.others["operator: deployments whose lock it does not show"] = len(set(locked) - shown)
    now, most = controller.resident()
    report.others |= {"operator: resident memory, MB": now, "operator: most resident memory, MB": most}
    busy = controller.cpu()
    await asyncio.sleep(IDLE_SECONDS)
    report.others["operator: processor when idle, %"] = 100 * (controller.cpu() - busy) / IDLE_SECONDS


def _of_objects(passes: Passes) -> float:
    """Passes, without the periodic ones."""
    return sum(count for sort, count in passes.done.items() if sort in OBJECTS)


async def _ready(client: Client, namespace: str) -> set[str]:
    listed, _ = await client.list(Instance.api(), namespace)
    return {obj["metadata"]["name"] for obj in listed if (obj.get("status") or {}).get("readyTime")}


async def _locked(client: Client, namespace: str) -> set[str]:
    """Deployments that their status shows as locked."""
    listed, _ = await client.list(WorkspaceDeployment.api(), namespace)
    shown = ((obj["metadata"]["name"], c) for obj in listed for c in (obj.get("status") or {}).get("conditions") or ())
    return {name for name, c in shown if c["type"] == AVAILABLE and c["reason"] == "Lockout"}
