"""The Job controller and the kubelet of builds, played: every build wants a machine of the type `bench`, and passes."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress

from berth_core.kube.errors import NotFoundError
from berth_core.kube.types import Object

from ..envtest.operator.builds import JOBS, REPORT, ended, pod_of, runs, says
from ..envtest.operator.lab import BUILDS, PODS, RULES, Lab, condition

ADDRESS = "198.51.100.9"
"""Of every pod with a script."""
FETCHED = json.dumps(REPORT | {"workspace": "bench"})
SECONDS = 60.0
"""In which the machine lets a script in: a leader may be stopped on the way."""


async def run(lab: Lab) -> None:
    """Bring each Job to its end, until cancelled."""
    async with asyncio.TaskGroup() as played:
        jobs, version = await lab.client.list(JOBS, lab.namespace)
        for job in jobs:
            played.create_task(_play(lab, job))
        while True:
            async for event in lab.client.watch(JOBS, lab.namespace, version):
                version = event.object["metadata"]["resourceVersion"]
                if event.type == "ADDED":
                    played.create_task(_play(lab, event.object))


async def _play(lab: Lab, job: Object) -> None:
    # A pod that is not found was deleted meanwhile, and a kubelet would end it.
    with suppress(NotFoundError):
        pod = await pod_of(lab, job)
        if job["metadata"]["name"].endswith("-fetch"):
            await says(lab, pod, "Succeeded", fetch=ended(0, FETCHED))
            return
        await says(lab, pod, "Running", ip=ADDRESS, checkout=ended(0), artifacts=runs(), script=runs())
        await _first(_let_in(lab, job), lab.until_gone(PODS, pod, seconds=2 * SECONDS))
        await says(lab, pod, "Succeeded", ip=ADDRESS, checkout=ended(0), artifacts=ended(0), script=ended(0))


async def _let_in(lab: Lab, job: Object) -> None:
    """The script reaches its machine, and the build says that it runs."""
    door = job["metadata"]["name"].removesuffix("-run")
    await lab.until(RULES, door, lambda rule: condition(rule, "InForce", "status") == "True", seconds=SECONDS)
    (owner,) = job["metadata"]["ownerReferences"]
    await lab.until(
        BUILDS,
        owner["name"],
        lambda build: condition(build, "Running") == "Script" and condition(build, "WorkspaceReady") == "Ready",
        seconds=SECONDS,
    )


async def _first(*waits: Awaitable[object]) -> None:
    """Wait for the first of them."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def jobs_played(lab: Lab) -> AsyncIterator[None]:
    """Play them for the length of a ``with`` block."""
    running = asyncio.create_task(run(lab))
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running  # one that has failed says so
