"""Verdicts on devices by ResourceSlices: what is read for them, and what holds while it is not read yet."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from berth_core.kube.conditions import condition
from berth_core.machines.devices import Sight
from berth_core.resources import WorkspaceDeployment
from berth_operator.engine.world import World
from berth_operator.machines import slices
from berth_operator.machines.slices import Slices

from .devices import SLICES, Driver
from .lab import Lab
from .worlds import world_of

pytestmark = pytest.mark.apiserver


def deployment(name: str, machine: Any, *shown: Any, generation: int = 1) -> WorkspaceDeployment:
    metadata = {"name": name, "namespace": "lab", "uid": name, "generation": generation}
    spec = {"type": "bench", "machine": machine}
    return WorkspaceDeployment.parse({"metadata": metadata, "spec": spec, "status": {"conditions": list(shown)}})


@asynccontextmanager
async def leading(world: World) -> AsyncIterator[None]:
    """For a time in which this process leads."""
    task = asyncio.create_task(slices.run(world))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        world.end_term()


async def until(world: World, wd: WorkspaceDeployment, reason: str) -> Sight:
    """Look again until the verdict is another one."""
    async with asyncio.timeout(60):
        look = world.state(Slices).look
        while (seen := look(world.client, wd)) is None or seen.reason != reason:  # noqa: ASYNC110 (as passes look)
            await asyncio.sleep(0.05)
    return seen


async def test_slices_are_read_of_drivers_that_somebody_names_and_no_longer_than_that(lab: Lab) -> None:
    world, driver = await world_of(lab), Driver(lab, f"node-of-{lab.namespace}")
    await driver.install()
    await driver.offer("A7", "B8")
    state = world.state(Slices)
    async with leading(world):
        assert state.look(world.client, deployment("none", {})) is None
        assert state.drivers == set()
        one, two = (deployment(name, driver.arm(serial)) for name, serial in (("one", "A7"), ("two", "Z0")))
        await until(world, one, "DevicesFound")
        await until(world, two, "DeviceMissing")
        assert state.drivers == {driver.name}
        state.forget("lab", "one")
        assert state.look(world.client, deployment("two", {})) is None, "it names no device any more"
        async with asyncio.timeout(60):
            while state.drivers:  # noqa: ASYNC110 (nothing reports that nobody names a driver any more)
                await asyncio.sleep(0.05)
        await until(world, one, "DevicesFound")
    assert state.drivers == set()
    await driver.remove()


async def test_what_the_status_says_holds_until_the_slices_are_read_and_for_its_generation(lab: Lab) -> None:
    world, driver = await world_of(lab), Driver(lab, f"node-of-{lab.namespace}")
    missing = condition("DevicesFound", False, "DeviceMissing", "it is away", now=world.now(), generation=1).wire()
    look = world.state(Slices).look
    assert look(world.client, deployment("one", driver.arm("A7"), missing)) == ("DeviceMissing", "it is away")
    for wd in (deployment("one", driver.arm("A7"), missing, generation=2), deployment("two", driver.arm("A7"))):
        seen = look(world.client, wd)
        assert seen is not None
        assert seen.reason == "DeviceAwaited"
        assert seen.fault is not None, "a proof that is not there yet is none"


async def test_while_a_driver_rewrites_its_pool_the_last_verdict_holds(lab: Lab) -> None:
    world, driver = await world_of(lab), Driver(lab, f"node-of-{lab.namespace}")
    await driver.install()
    await driver.offer("A7")
    wd = deployment("one", driver.arm("A7"))
    async with leading(world):
        found = await until(world, wd, "DevicesFound")
        told = condition("DevicesFound", True, *found, now=world.now(), generation=1).wire()
        wd = deployment("one", driver.arm("A7"), told)
        # Of two slices of the next generation the first, without the device.
        pool = {"name": driver.node, "generation": driver.generation + 1, "resourceSliceCount": 2}
        spec = {"driver": driver.name, "nodeName": driver.node, "pool": pool, "devices": [{"name": "b8"}]}
        other = {"apiVersion": SLICES.api_version, "kind": "ResourceSlice"}
        for name, devices in (("first", [{"name": "b8"}]), ("second", [])):
            body = other | {"metadata": {"name": f"{driver.node}-{name}"}, "spec": spec | {"devices": devices}}
            await lab.client.apply(SLICES, body)
            if name == "first":
                await asyncio.sleep(1)  # long enough for a mistake
                assert world.state(Slices).look(world.client, wd) == found
        await until(world, wd, "DeviceMissing")
    for name in ("slice", "first", "second"):
        await lab.client.delete(SLICES, None, f"{driver.node}-{name}")
