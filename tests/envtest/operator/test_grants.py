"""Machines that owners registered: lent only while their MachineGrant covers them; and what a grant says of itself."""

import asyncio
from typing import Any

import pytest

from berth_core.kube.types import Object

from .lab import DEPLOYMENTS, GRANTS, INSTANCES, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver

LAB = {"BERTH_MACHINE_CIDRS": "192.0.2.0/24"}


def granted(**spec: Any) -> Object:
    networks = [{"cidr": "192.0.2.32/28", "ports": [{"port": 30000, "endPort": 30010}]}]
    return {"users": ["alice"], "types": ["bench"], "networks": networks, "deployments": 1} | spec


def machine(host: int) -> Object:
    network = {"addresses": [f"192.0.2.{host}/32"], "ports": [{"protocol": "TCP", "port": 30002}]}
    return {"type": "bench", "owners": ["alice"], "grant": "lab", "machine": {"network": network}}


async def online(lab: Lab, name: str, reason: str) -> Object:
    return await lab.until(DEPLOYMENTS, name, lambda o: condition(o, "Online") == reason, seconds=20)


async def ready(lab: Lab, reason: str, name: str = "lab") -> Object:
    return await lab.until(GRANTS, name, lambda o: condition(o, "Ready") == reason, seconds=20)


async def counted(lab: Lab, name: str, number: int) -> None:
    await lab.until(GRANTS, name, lambda o: (o.get("status") or {}).get("deployments") == number, seconds=20)


async def test_a_registered_machine_is_lent_while_its_grant_covers_it(lab: Lab, operators: Operators) -> None:
    operators.start(**LAB)
    await lab.type()
    await lab.create(DEPLOYMENTS, "one", machine(40))
    found = await online(lab, "one", "NotGranted")
    assert "there is no MachineGrant lab" in str(condition(found, "Online", "message"))
    await lab.create(GRANTS, "lab", granted())
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free", seconds=20)
    for change, word in (
        ({"users": ["bob"]}, "is for bob, and not for alice"),
        ({"users": ["alice"], "types": ["other"]}, "is for machines of type other"),
        ({"types": ["bench"], "networks": [{"cidr": "192.0.2.64/28"}]}, "lies in no entry"),
    ):
        await lab.client.patch(GRANTS, lab.namespace, "lab", {"spec": change})

        def says(obj: Object, word: str = word) -> bool:
            return word in str(condition(obj, "Online", "message"))

        await lab.until(DEPLOYMENTS, "one", says, seconds=20)
    await lab.client.patch(GRANTS, lab.namespace, "lab", {"spec": {"networks": granted()["networks"]}})
    await online(lab, "one", "NoHeartbeat")
    await lab.client.delete(GRANTS, lab.namespace, "lab")
    await online(lab, "one", "NotGranted")
    await lab.create(DEPLOYMENTS, "two", machine(40) | {"grant": None})
    await online(lab, "two", "NoHeartbeat")
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"grant": None}})
    taken = await online(lab, "one", "EndpointInUse")
    assert f"{lab.namespace}/two" in str(condition(taken, "Online", "message")), "it named them first meanwhile"
    await lab.client.delete(DEPLOYMENTS, lab.namespace, "two")
    await online(lab, "one", "NoHeartbeat")


async def test_a_lease_goes_on_without_the_grant_and_the_next_one_does_not_begin(
    lab: Lab, operators: Operators
) -> None:
    operators.start(**LAB)
    await lab.type()
    await lab.create(GRANTS, "lab", granted())
    await lab.create(DEPLOYMENTS, "one", machine(40))
    await online(lab, "one", "NoHeartbeat")
    await lab.instance("ada", deployments=["one"])
    await lab.until(INSTANCES, "ada", lambda o: condition(o, "Bound", "status") == "True", seconds=20)
    await lab.client.delete(GRANTS, lab.namespace, "lab")
    await online(lab, "one", "NotGranted")
    assert condition(await lab.kept(INSTANCES, "ada"), "Bound", "status") == "True"
    await lab.client.patch(INSTANCES, lab.namespace, "ada", {"spec": {"terminate": True}})
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Offline", seconds=20)


async def test_a_lease_that_is_taken_past_the_condition_opens_nothing(lab: Lab, operators: Operators) -> None:
    """The API process, taken over, writes a machine beyond all grants, and takes its lease at once."""
    await lab.type()
    await lab.create(GRANTS, "lab", granted())
    await lab.create(DEPLOYMENTS, "one", machine(99))
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"metadata": {"finalizers": ["berth.dev/fence"]}})
    await lab.client.patch(
        DEPLOYMENTS, lab.namespace, "one", {"status": {"observedGeneration": 1}}, subresource="status"
    )
    instance = await lab.claimed("one")
    operators.start(**LAB)
    await online(lab, "one", "NotGranted")
    await asyncio.sleep(2)
    found = await lab.kept(INSTANCES, instance)
    assert "machine" not in (found.get("status") or {})
    assert condition(found, "Bound", "status") != "True"


async def test_a_grant_counts_its_machines_and_lends_the_oldest_of_too_many(lab: Lab, operators: Operators) -> None:
    operators.start(**LAB)
    await lab.type()
    await lab.create(GRANTS, "lab", granted())
    await lab.create(DEPLOYMENTS, "one", machine(40))
    await asyncio.sleep(1.1)  # ages are whole seconds
    await lab.create(DEPLOYMENTS, "two", machine(41))
    found = await online(lab, "two", "NotGranted")
    assert "permits 1 machines" in str(condition(found, "Online", "message"))
    await online(lab, "one", "NoHeartbeat")
    await counted(lab, "lab", 2)
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"dissolved": "2026-01-01T00:00:00Z"}})
    await online(lab, "two", "NoHeartbeat")
    await counted(lab, "lab", 1)


async def test_a_machine_that_moves_to_another_grant_leaves_room_in_the_first(lab: Lab, operators: Operators) -> None:
    operators.start(**LAB)
    await lab.type()
    for name in ("lab", "other"):
        await lab.create(GRANTS, name, granted())
    await lab.create(DEPLOYMENTS, "one", machine(40))
    await counted(lab, "lab", 1)
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"grant": "other"}})
    await counted(lab, "lab", 0)
    await counted(lab, "other", 1)


async def test_a_retired_machine_goes_after_the_retention_and_one_of_an_administrator_s_stays(
    lab: Lab, operators: Operators
) -> None:
    gone = {"dissolved": "2026-01-01T00:00:00Z"}
    await lab.create(DEPLOYMENTS, "retired", machine(40) | gone)
    await lab.create(DEPLOYMENTS, "dissolved", {"type": "bench"} | gone)
    operators.start(**LAB, BERTH_HISTORY_RETENTION="2s")
    await lab.until_gone(DEPLOYMENTS, "retired", seconds=30)
    assert await lab.kept(DEPLOYMENTS, "dissolved")


async def test_a_grant_says_which_part_of_it_is_of_no_use(lab: Lab, operators: Operators) -> None:
    operators.start(**LAB)
    await lab.create(GRANTS, "lab", granted())
    found = await ready(lab, "UnknownType")
    assert "there is no type bench" in str(condition(found, "Ready", "message"))
    await lab.type()
    await ready(lab, "Usable")
    await lab.client.patch(GRANTS, lab.namespace, "lab", {"spec": {"networks": [{"cidr": "198.51.100.0/24"}]}})
    found = await ready(lab, "OutsideMachineNetworks")
    assert "198.51.100.0/24" in str(condition(found, "Ready", "message"))
