"""Types, deployments and instances for the bench of the API, as administrators, the API and the operator write them."""

import asyncio
import contextlib
import random
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic, perf_counter
from typing import Any, Final

import aiohttp
from bench.load import PATIENCE

from berth_core import ids
from berth_core.kube.client import Client
from berth_core.kube.types import Object
from berth_core.leases import leasing
from berth_core.leases.availability import Lease
from berth_core.names import API_VERSION, FENCE_FINALIZER
from berth_core.resources import Instance, Resource, TokenRevocation, WorkspaceDeployment, WorkspaceType

AT_ONCE: Final = 24
TYPES: Final = 50
USERS: Final = 40
REVOCATIONS: Final = 100
NOW: Final = "2026-01-01T00:00:00Z"
LATER: Final = "2026-01-02T00:00:00Z"
PROBED: Final = "probed"
"""A type with one deployment, whose lease the staleness probe takes and gives back."""
HOST_KEY: Final = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"


@dataclass(frozen=True)
class Population:
    """Objects that were made: names of free deployments; ids of deployments; ids of instances with their users."""

    namespace: str
    types: tuple[str, ...]
    free: tuple[str, ...]
    deployments: tuple[str, ...]
    instances: tuple[tuple[str, str], ...]


async def populate(client: Client, namespace: str, access: str, deployments: int, instances: int) -> Population:
    """Make all objects; the instances hold the first deployments, one each."""
    types = tuple(f"type_{n:02}" for n in range(TYPES))
    await in_parallel(_type(client, namespace, name) for name in (*types, PROBED))
    await in_parallel(_revocation(client, access, n) for n in range(REVOCATIONS))
    names = [f"wd-{n:05}" for n in range(deployments)]
    held = tuple((ids.uuid7(n), f"user-{n % USERS:02}") for n in range(instances))
    await in_parallel(
        _deployment(client, namespace, name, types[n % TYPES], holder=held[n] if n < instances else None)
        for n, name in enumerate(names)
    )
    await _deployment(client, namespace, PROBED, PROBED, holder=None)
    await in_parallel(_instance(client, namespace, names[n], *holder) for n, holder in enumerate(held))
    public = tuple(ids.deployment_id(namespace, name) for name in names)
    return Population(namespace, types, tuple(names[instances:]), public, held)


async def churn(client: Client, found: Population, rate: float, seconds: float) -> int:
    """Take and give back leases of free deployments, ``rate`` changes a second; answer the number of changes."""
    draw, start, done = random.Random(2), monotonic(), 0  # noqa: S311 (repeatable)
    holder, taken = ids.uuid7(0), list[Lease]()
    while monotonic() - start < seconds:
        now = datetime.now(UTC)
        if len(taken) < rate:
            name = draw.choice(found.free)
            taken.append(await leasing.take(client, found.namespace, name, instance=holder, user="churn", now=now))
        else:
            lease = taken.pop(0)
            await leasing.give_back(client, found.namespace, lease, instance=holder, completed=True, now=now)
        done += 1
        await asyncio.sleep(max(0.0, start + done / rate - monotonic()))
    for lease in taken:
        now = datetime.now(UTC)
        await leasing.give_back(client, found.namespace, lease, instance=holder, completed=True, now=now)
    return done


async def staleness(client: Client, namespace: str, url: str, seconds: float) -> list[float]:
    """Seconds from the answer to a change of a lease until a public list shows it, again and again; 10 at most."""
    holder, samples, start = ids.uuid7(1), list[float](), monotonic()
    async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session:

        async def until(free: int) -> float:
            changed = perf_counter()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    while await listed() != free:
                        await asyncio.sleep(0.005)
            return perf_counter() - changed

        async def listed() -> int | None:
            async with session.get(f"/deployments/{PROBED}?maxlen=0") as answer:
                return len((await answer.json())["workspace_deployments"]) if answer.status == 200 else None

        while monotonic() - start < seconds:
            now = datetime.now(UTC)
            lease = await leasing.take(client, namespace, PROBED, instance=holder, user="probe", now=now)
            samples.append(await until(0))
            await leasing.give_back(client, namespace, lease, instance=holder, completed=True, now=datetime.now(UTC))
            samples.append(await until(1))
            await asyncio.sleep(0.2)
    return samples


async def in_parallel(jobs: Iterator[Coroutine[Any, Any, None]]) -> None:
    """Do all jobs, with a bounded number of requests under way."""

    # Workers share one iterator.
    async def work() -> None:
        for job in jobs:
            await job

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(work())


def _body(kind: type[Resource], name: str, namespace: str, spec: Object) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": kind.KIND, "metadata": metadata, "spec": spec}


def _conditions(**statuses: str) -> list[Object]:
    return [
        {"type": kind, "status": status, "reason": "Bench", "message": "", "lastTransitionTime": NOW}
        for kind, status in statuses.items()
    ]


async def _type(client: Client, namespace: str, name: str) -> None:
    spec = {
        "typeName": name,
        "description": f"Arms of the kind {name}, on a table with two cameras",
        "supportedAddons": ["cam", "mistyproxy"],
        "template": {"image": "example.test/workspace:1"},
    }
    body = _body(WorkspaceType, name.replace("_", "-"), namespace, spec)
    await client.create(WorkspaceType.api(), namespace, body)


async def _revocation(client: Client, namespace: str, number: int) -> None:
    sha256 = f"{number:064x}"
    body = _body(
        TokenRevocation, sha256, namespace, {"sha256": sha256, "user": "user-00", "expires": "2100-01-01T00:00:00Z"}
    )
    await client.create(TokenRevocation.api(), namespace, body)


async def _deployment(
    client: Client, namespace: str, name: str, type_name: str, *, holder: tuple[str, str] | None
) -> None:
    number = int.from_bytes(name.encode()[-2:], "big")
    spec: Object = {"type": type_name, "typeVersion": 1 + number % 3, "region": f"region-{number % 8}"}
    if number % 2:
        spec["description"] = f"The arm {name}, by the window"
    await client.create(WorkspaceDeployment.api(), namespace, _body(WorkspaceDeployment, name, namespace, spec))
    await client.patch(WorkspaceDeployment.api(), namespace, name, {"metadata": {"finalizers": [FENCE_FINALIZER]}})
    status: Object = {
        "id": ids.deployment_id(namespace, name),
        "observedGeneration": 1,
        "conditions": _conditions(Available="True" if holder is None else "False", Online="True"),
        "instances": number % 50,
    }
    if holder is not None:
        status |= {"epoch": 1, "lease": {"instance": holder[0], "user": holder[1], "claimedAt": NOW}}
    await client.patch(WorkspaceDeployment.api(), namespace, name, {"status": status}, subresource="status")


async def _instance(client: Client, namespace: str, deployment: str, name: str, user: str) -> None:
    spec = {
        "deployments": [deployment],
        "claim": {"deployment": deployment, "epoch": 1},
        "user": user,
        "requesterAddress": "192.0.2.7",
        "sshKeys": [HOST_KEY],
        "expireAfter": 3600,
    }
    await client.create(Instance.api(), namespace, _body(Instance, name, namespace, spec))
    status = {
        "id": name,
        "deployment": deployment,
        "epoch": 1,
        "address": {"ipv4": "192.0.2.9", "port": 30022},
        "hostKeys": [HOST_KEY],
        "startTime": NOW,
        "readyTime": NOW,
        "expireTime": LATER,
        "conditions": _conditions(Bound="True", PodReady="True", NetworkReady="True", Ready="True"),
    }
    await client.patch(Instance.api(), namespace, name, {"status": status}, subresource="status")
