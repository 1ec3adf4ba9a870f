"""Machines that are probed at their addresses, with real connections."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from promised import promised

from berth_core.kube.model import timestamp
from berth_core.kube.types import Object
from berth_core.leases import leasing
from berth_dev.envtest.puppets import Puppets

from .lab import DEPLOYMENTS, INSTANCES, SECONDS, Lab, condition
from .process import Operators
from .robot import NETWORK, Robot, robot

pytestmark = pytest.mark.apiserver

MACHINES = {"BERTH_MACHINE_CIDRS": NETWORK}
ONE_PROBE = 1.0
"""Longest probe where one is made every second."""


@pytest.fixture
async def arm() -> AsyncIterator[Robot]:
    async with robot() as made:
        yield made


async def deployment(lab: Lab, name: str, arm: Robot, *, seconds: float = 30, **spec: Any) -> Object:
    """A deployment whose machine was heard."""
    await lab.create(DEPLOYMENTS, name, place(arm) | spec)
    return await lab.until(DEPLOYMENTS, name, lambda o: condition(o, "Available") == "Free", seconds=seconds)


def place(arm: Robot, **health: Any) -> Object:
    """Spec of a deployment with a robot, which is probed every second."""
    machine = {"network": {"addresses": [f"{arm.host}/32"]}}
    return {"type": "bench", "machine": machine, "health": {"tcp": arm.port, "every": 1} | health}


def elsewhere(arm: Robot, host: str) -> Object:
    """Spec of a deployment without a machine of its own, for which an address is probed every second."""
    return {"type": "bench", "health": {"host": host, "tcp": arm.port, "every": 1}}


async def online(lab: Lab, name: str, reason: str, seconds: float = SECONDS) -> Object:
    return await lab.until(DEPLOYMENTS, name, lambda o: condition(o, "Online") == reason, seconds=seconds)


@pytest.mark.alone
async def test_a_machine_that_stops_answering_is_offline_in_its_time_and_comes_back_by_itself(
    lab: Lab, operators: Operators, arm: Robot
) -> None:
    operators.start(**MACHINES)
    await lab.type()
    health = {"tcp": arm.port, "every": 1, "failures": 3}
    await deployment(lab, "one", arm, health=health)
    gone = await arm.switch_off()
    away = await online(lab, "one", "NoAnswer")
    took = time.monotonic() - gone
    print(f"offline after {took:.2f} s; every 1 s, 3 failures")  # noqa: T201 (the figure)
    assert took <= 3 + promised(ONE_PROBE + 1), "and a second for the status and the watch"
    assert condition(away, "Available") == "Offline"
    message = condition(away, "Available", "message") or ""
    assert f"tcp {arm.host}:{arm.port} did not answer 3 times in a row, every 1 s" in message
    assert "look whether the machine is switched on" in message
    await lab.told("NoAnswer", "did not answer")
    with pytest.raises(leasing.BusyError) as refused:
        await leasing.take(lab.client, lab.namespace, "one", instance="x", user="eve", now=datetime.now(UTC))
    assert refused.value.reason == "Offline"
    await lab.instance("mine", workspaceType="bench")
    waits = await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound") == "Waiting")
    assert "one (Offline)" in (condition(waits, "Bound", "message") or "")
    back = time.monotonic()
    await arm.switch_on()
    await online(lab, "one", "Answers")
    took = time.monotonic() - back
    print(f"online again after {took:.2f} s")  # noqa: T201 (the figure)
    assert took <= 1 + promised(ONE_PROBE + 1)
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound", "status") == "True")


@pytest.mark.release(twin="tests/unit/operator/presence/test_probe.py")
async def test_an_unhealthy_answer_is_none(lab: Lab, operators: Operators, arm: Robot) -> None:
    operators.start(**MACHINES)
    await lab.type()
    arm.status = 503
    health = {"http": {"port": arm.port, "path": "/ready"}, "every": 1, "failures": 2}
    await lab.create(DEPLOYMENTS, "one", place(arm) | {"health": health})
    away = await online(lab, "one", "NoAnswer", seconds=30)
    assert f"GET http://{arm.host}:{arm.port}/ready did not answer" in (condition(away, "Online", "message") or "")
    assert "status 503" in (condition(away, "Online", "message") or "")
    arm.status = 204
    await online(lab, "one", "Answers")


async def test_a_free_machine_is_probed_and_a_leased_one_left_alone(lab: Lab, operators: Operators, arm: Robot) -> None:
    operators.start(**MACHINES)
    await lab.type()
    await deployment(lab, "one", arm)
    instance = await lab.claimed("one")
    await lab.until(INSTANCES, instance, lambda o: condition(o, "Bound", "status") == "True")
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Leased")
    before = len(arm.connected)
    await arm.switch_off()
    await asyncio.sleep(4)  # nothing is to come in this time
    await arm.switch_on()
    held = await lab.kept(DEPLOYMENTS, "one")
    assert len(arm.connected) == before
    assert condition(held, "Reachable") == "Answers", "a verdict stays while nobody asks"
    await lab.client.patch(INSTANCES, lab.namespace, instance, {"spec": {"terminate": True}})
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free")
    await arm.hears(before + 1, SECONDS)


@pytest.mark.release(
    twin="tests/envtest/operator/test_presence.py::test_a_free_machine_is_probed_and_a_leased_one_left_alone"
)
@pytest.mark.alone
async def test_a_probe_that_is_under_way_ends_when_a_lease_is_taken(lab: Lab, operators: Operators, arm: Robot) -> None:
    """Its controller accepts one client: the holder's must be that."""
    operators.start(**MACHINES)
    await lab.type()
    await deployment(lab, "one", arm, health={"http": {"port": arm.port}, "every": 3, "failures": 100})
    arm.mute = True
    await arm.hears(len(arm.connected) + 1, 10)
    probed = arm.connected[-1]
    await lab.claimed("one")
    await arm.until(lambda: bool(arm.closed), promised(5))
    took = arm.closed[0] - probed
    print(f"the probe ended {took:.2f} s after it began")  # noqa: T201 (the figure)
    assert took < min(promised(2), 2.7), "else it takes 3 s"


async def test_a_holder_is_told_of_a_machine_that_stops_and_keeps_the_lease(
    lab: Lab, operators: Operators, arm: Robot, puppets: Puppets
) -> None:
    operators.start(**MACHINES)
    await lab.type(template={"image": "workspace.invalid/none:1"})
    health = {"tcp": arm.port, "every": 1, "failures": 2, "duringLease": True}
    await deployment(lab, "one", arm, health=health)
    instance = await lab.claimed("one")
    await lab.until(INSTANCES, instance, lambda o: condition(o, "Ready", "status") == "True", seconds=30)
    assert condition(await lab.get(INSTANCES, instance), "MachineReachable") is None
    pod = f"i-{instance}"
    await arm.switch_off()
    await lab.until(INSTANCES, instance, lambda o: condition(o, "MachineReachable") == "NoAnswer", seconds=20)
    await puppets.until(lambda: "machine one has not answered since" in puppets.states[pod]["notice"], SECONDS)
    await lab.told("NoAnswer", "The machine one has not answered since")
    held = await lab.get(DEPLOYMENTS, "one")
    assert (condition(held, "Available"), held["status"]["lease"]["instance"]) == ("Leased", instance)
    assert condition(await lab.get(INSTANCES, instance), "Ready", "status") == "True"
    await arm.switch_on()
    await lab.until(INSTANCES, instance, lambda o: condition(o, "MachineReachable") == "Answers")
    await puppets.until(lambda: not puppets.states[pod]["notice"], SECONDS)


async def test_nobody_has_the_operator_connect_to_what_is_no_machine(
    lab: Lab, operators: Operators, arm: Robot
) -> None:
    other = Robot("127.0.0.1", arm.port)
    await other.switch_on()
    operators.start(BERTH_MACHINE_CIDRS=f"127.0.0.0/8,{arm.host}/32,10.0.0.0/8")
    await lab.type()
    await deployment(lab, "fine", arm)
    for name, host in (
        ("loopback", "127.0.0.1"),
        ("inside", "2002:7f00:1::1"),
        ("metadata", "169.254.169.254"),
        ("outside", "198.18.0.9"),
    ):
        await lab.create(DEPLOYMENTS, name, elsewhere(arm, host))
        told = await online(lab, name, "AddressForbidden")
        assert (condition(told, "Available"), condition(told, "Reachable", "status")) == ("Offline", "Unknown")
        assert "is not probed, since" in (condition(told, "Available", "message") or "")
    await arm.hears(len(arm.connected) + 3, SECONDS)  # others are probed in this time
    assert other.connected == []
    await other.switch_off()


async def test_without_networks_of_machines_none_is_probed(lab: Lab, operators: Operators, arm: Robot) -> None:
    operators.start()
    await lab.type()
    await lab.create(DEPLOYMENTS, "one", elsewhere(arm, arm.host))
    await lab.create(DEPLOYMENTS, "two", place(arm))
    for name, reason in (("one", "AddressForbidden"), ("two", "OutsideMachineNetworks")):
        told = await online(lab, name, reason, seconds=30)
        assert "instances.machineCidrs" in (condition(told, "Online", "message") or "")
        assert condition(told, "Reachable") == reason
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"health": None}})
    await online(lab, "one", "NoHeartbeat")
    assert arm.connected == []


@pytest.mark.release(twin="tests/unit/operator/presence/test_decide.py")
async def test_a_new_leader_keeps_what_it_finds_until_it_knows_better(
    lab: Lab, operators: Operators, arm: Robot
) -> None:
    first = operators.start(**MACHINES)
    await lab.type()
    await deployment(lab, "there", arm, health={"tcp": arm.port, "every": 1, "failures": 2})
    async with robot() as off:
        await off.switch_off()
        await lab.create(DEPLOYMENTS, "away", place(off, failures=2))
        before = await online(lab, "away", "NoAnswer")
        first.terminate()
        await asyncio.to_thread(first.wait)
        beyond = (await lab.client.list(DEPLOYMENTS, lab.namespace))[1]
        await off.switch_on()
        await arm.switch_off()
        operators.start(**MACHINES)
        words: dict[str, list[tuple[str | None, str | None]]] = {"there": [], "away": []}
        async with asyncio.timeout(40):
            async for event in lab.client.watch(DEPLOYMENTS, lab.namespace, beyond):
                if event.type != "MODIFIED":
                    continue
                shown = condition(event.object, "Online"), condition(event.object, "Available")
                words[event.object["metadata"]["name"]].append(shown)
                if words["there"][-1:] == [("NoAnswer", "Offline")] and words["away"][-1:] == [("Answers", "Free")]:
                    break
        assert set(words["there"]) <= {("Answers", "Free"), ("NoAnswer", "Offline")}
        assert set(words["away"]) <= {("NoAnswer", "Offline"), ("Answers", "Free")}
        assert words["there"].count(("NoAnswer", "Offline")) == 1
        since = condition(before, "Online", "lastTransitionTime")
        assert condition(await lab.get(DEPLOYMENTS, "away"), "Online", "lastTransitionTime") != since


@pytest.mark.release(twin="tests/unit/operator/presence/test_decide.py")
async def test_a_flapping_machine_writes_once_for_each_probe_at_most(
    lab: Lab, operators: Operators, arm: Robot
) -> None:
    operators.start(**MACHINES)
    await lab.type()
    made = await deployment(lab, "one", arm, health={"tcp": arm.port, "every": 1, "failures": 1})
    version, writes, began = made["metadata"]["resourceVersion"], 0, time.monotonic()

    async def flap() -> None:
        while True:
            await arm.switch_off()
            await asyncio.sleep(0.35)
            await arm.switch_on()
            await asyncio.sleep(0.35)

    flapping = asyncio.create_task(flap())
    try:
        async with asyncio.timeout(12):
            async for event in lab.client.watch(DEPLOYMENTS, lab.namespace, version):
                writes += event.type == "MODIFIED"
    except TimeoutError:
        pass
    finally:
        flapping.cancel()
        await asyncio.gather(flapping, return_exceptions=True)
    took = time.monotonic() - began
    print(f"{writes} writes in {took:.1f} s")  # noqa: T201 (the figure)
    assert 0 < writes <= took + promised(1), "one for each probe: two would be twice as many"


@pytest.mark.release(twin="tests/unit/operator/deployments/test_decide.py")
async def test_a_maintenance_ends_by_itself_and_lets_owners_in_meanwhile(lab: Lab, operators: Operators) -> None:
    operators.start()
    await lab.type()
    await lab.deployment("one", owners=["olga"])
    until = timestamp((datetime.now(UTC) + timedelta(seconds=12)).replace(microsecond=0))
    spec = {"maintenance": {"reason": "new gripper", "until": until}}
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": spec})
    repaired = await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Maintenance", "status") == "True")
    assert condition(repaired, "Available") == "Maintenance"
    assert condition(repaired, "Available", "message") == f"under maintenance until {until}: new gripper"
    await lab.instance("waits", user="ada", workspaceType="bench")
    told = await lab.until(INSTANCES, "waits", lambda o: condition(o, "Bound") == "Waiting")
    assert "one (Maintenance)" in (condition(told, "Bound", "message") or "")
    with pytest.raises(leasing.BusyError) as refused:
        await leasing.take(lab.client, lab.namespace, "one", instance="x", user="eve", now=datetime.now(UTC))
    assert refused.value.reason == "Maintenance"
    await lab.instance("tries", user="olga", workspaceType="bench")
    await lab.until(INSTANCES, "tries", lambda o: condition(o, "Bound", "status") == "True")
    await lab.client.patch(INSTANCES, lab.namespace, "tries", {"spec": {"terminate": True}})
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Maintenance")
    assert condition(await lab.get(INSTANCES, "waits"), "Bound", "status") == "False"
    await lab.until(INSTANCES, "waits", lambda o: condition(o, "Bound", "status") == "True", seconds=30)
    assert datetime.now(UTC) >= datetime.fromisoformat(until)
    over = await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Maintenance", "status") == "False")
    assert condition(over, "Maintenance") == "MaintenanceOver"
