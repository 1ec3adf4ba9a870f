"""Machines that show by renewing a Lease that they are there. Limits are short, by the Leases' own wish."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from promised import promised

from berth_core.kube.types import Object
from berth_core.leases import leasing

from .lab import DEPLOYMENTS, INSTANCES, LEASES, SECONDS, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver

LIMIT = 6


async def machine(lab: Lab, name: str, *, limit: int | None = LIMIT, labelled: bool = True) -> None:
    """The Lease of a machine, not renewed yet."""
    metadata: Object = {"name": name, "labels": {"berth.dev/heartbeat": "true"} if labelled else {}}
    spec = {"leaseDurationSeconds": limit} if limit else {}
    body: Object = {"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": metadata, "spec": spec}
    await lab.client.create(LEASES, lab.namespace, body)


async def renew(lab: Lab, name: str, told: str | None = None) -> None:
    """Renew a Lease as a machine does, by any clock."""
    now = told or datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    await lab.client.patch(LEASES, lab.namespace, name, {"spec": {"renewTime": now}})


@contextlib.asynccontextmanager
async def renewing(lab: Lab, name: str) -> AsyncIterator[list[float]]:
    """A machine that renews its Lease every second; when it sent each renewal, by our monotonic clock."""
    over, sent = asyncio.Event(), list[float]()

    async def go_on() -> None:
        while not over.is_set():
            sent.append(time.monotonic())
            await renew(lab, name)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), 1)

    task = asyncio.create_task(go_on())
    try:
        yield sent
    finally:
        over.set()
        await task


async def online(lab: Lab, name: str, reason: str, seconds: float = SECONDS) -> Object:
    return await lab.until(DEPLOYMENTS, name, lambda o: condition(o, "Online") == reason, seconds=seconds)


async def test_a_machine_that_falls_silent_is_offline_and_comes_back_by_itself(lab: Lab, operators: Operators) -> None:
    operators.start()
    await lab.type()
    await lab.create(DEPLOYMENTS, "one", {"type": "bench", "heartbeat": "lease"})
    await online(lab, "one", "LeaseMissing", seconds=30)
    await machine(lab, "one")
    await online(lab, "one", "HeartbeatAwaited")
    # Without the label it is something else's.
    await machine(lab, "other", labelled=False)
    await renew(lab, "other")
    await lab.create(DEPLOYMENTS, "other", {"type": "bench", "heartbeat": "lease"})
    await online(lab, "other", "LeaseMissing")
    await lab.instance("mine", workspaceType="bench")
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound") == "Waiting")
    async with renewing(lab, "one") as sent:
        await online(lab, "one", "HeartbeatSeen")
        await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound", "status") == "True")
        beating = await lab.get(DEPLOYMENTS, "one")
        await lab.client.patch(INSTANCES, lab.namespace, "mine", {"spec": {"terminate": True}})
        free = await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free")
        since = condition(beating, "Online", "lastTransitionTime")
        assert condition(free, "Online", "lastTransitionTime") == since, "it stays online while it is renewed"
    await online(lab, "one", "HeartbeatLost", seconds=LIMIT + promised(14))
    assert time.monotonic() - sent[-1] >= LIMIT
    with pytest.raises(leasing.BusyError) as refused:
        await leasing.take(lab.client, lab.namespace, "one", instance="x", user="eve", now=datetime.now(UTC))
    assert refused.value.reason == "Offline"
    # The machine's clock is far behind: a renewal is a renewal.
    await renew(lab, "one", "2001-01-01T00:00:00.000000Z")
    await online(lab, "one", "HeartbeatSeen")
    await lab.client.delete(LEASES, lab.namespace, "one")
    await online(lab, "one", "LeaseMissing")


@pytest.mark.release(
    twin="tests/envtest/operator/test_heartbeats.py::test_a_machine_that_falls_silent_is_offline_and_comes_back_by_itself"
)
async def test_who_begins_to_lead_believes_neither_old_silence_nor_old_life(lab: Lab, operators: Operators) -> None:
    first = operators.start()
    await lab.type()
    for name, limit in (("alive", None), ("dead", LIMIT), ("dies", LIMIT * 3)):
        await machine(lab, name, limit=limit)
        await lab.create(DEPLOYMENTS, name, {"type": "bench", "heartbeat": "lease"})
        await online(lab, name, "HeartbeatAwaited", seconds=30)
        await renew(lab, name)
        await online(lab, name, "HeartbeatSeen")
    await online(lab, "dead", "HeartbeatLost", seconds=LIMIT + promised(14))
    first.terminate()
    await asyncio.to_thread(first.wait)
    operators.start()
    await lab.deployment("looked-at")
    assert condition(await lab.get(DEPLOYMENTS, "alive"), "Online") == "HeartbeatSeen"
    assert condition(await lab.get(DEPLOYMENTS, "dead"), "Online") == "HeartbeatLost"
    # From its first sight on it counts one limit.
    await online(lab, "dies", "HeartbeatLost", seconds=LIMIT * 3 + promised(10))
    assert condition(await lab.get(DEPLOYMENTS, "alive"), "Online") == "HeartbeatSeen"
