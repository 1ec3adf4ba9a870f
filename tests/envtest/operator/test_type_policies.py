"""One NetworkPolicy holds all pods of a type; with `sources: exact` each lease has one of its own besides."""

import asyncio
import signal

import pytest

from berth_core import ids, names
from berth_core.kube.types import Object

from .lab import INSTANCES, PODS, POLICIES, TYPES, UNSWEPT_SECONDS, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver

WALL = names.type_policy("bench")
SOURCE = "198.51.100.7"
EXACT = {"BERTH_NETWORK_POLICY_SOURCES": "exact"}


async def opened(lab: Lab) -> str:
    """An instance with its pod; its id."""
    instance = await lab.instance(workspaceType="bench", requesterAddress=SOURCE)
    await lab.until(INSTANCES, instance, lambda o: condition(o, "Bound", "status") == "True", seconds=20)
    await lab.until(PODS, f"i-{instance}", bool)
    return instance


def sources(policy: Object) -> list[str]:
    return [
        peer["ipBlock"]["cidr"] for entry in policy["spec"]["ingress"] for peer in entry["from"] if "ipBlock" in peer
    ]


async def test_it_stands_before_the_first_pod_and_follows_its_type(lab: Lab, operators: Operators) -> None:
    operators.start()
    await lab.type()
    assert (await lab.until(POLICIES, WALL, bool, seconds=20))["spec"]["egress"]
    await lab.deployment("one")
    instance = await opened(lab)
    assert await lab.absent(POLICIES, f"i-{instance}")
    await lab.client.patch(TYPES, lab.namespace, "bench", {"spec": {"network": {"egress": "none"}}})
    await lab.until(POLICIES, WALL, lambda o: not o["spec"].get("egress"))


async def test_it_outlives_its_type_as_long_as_a_pod_is_there_and_comes_back_where_somebody_deletes_it(
    lab: Lab, operators: Operators
) -> None:
    first = operators.start()
    await lab.type()
    await lab.deployment("one")
    instance = await opened(lab)
    before = await lab.get(POLICIES, WALL)
    first.send_signal(signal.SIGTERM)
    await asyncio.to_thread(first.wait, 60)
    await lab.client.delete(POLICIES, lab.namespace, WALL)
    operators.start()
    again = await lab.until(POLICIES, WALL, lambda o: o["metadata"]["uid"] != before["metadata"]["uid"], seconds=30)
    assert again["spec"] == before["spec"]
    await lab.client.delete(TYPES, lab.namespace, "bench")
    await lab.client.patch(INSTANCES, lab.namespace, instance, {"spec": {"terminate": True}})
    await lab.until(INSTANCES, instance, lambda o: condition(o, "Ended", "status") == "True", seconds=20)
    assert await lab.kept(POLICIES, WALL), "a pass may have seen the type, and be making a pod"


async def test_with_exact_sources_it_lets_in_the_operator_alone_and_each_lease_its_users(
    lab: Lab, operators: Operators
) -> None:
    operators.start(**EXACT)
    await lab.type()
    await lab.deployment("one")
    instance = await opened(lab)
    assert sources(await lab.get(POLICIES, WALL)) == []
    assert sources(await lab.get(POLICIES, f"i-{instance}")) == [f"{SOURCE}/32"]
    await lab.client.patch(INSTANCES, lab.namespace, instance, {"spec": {"terminate": True}})
    await lab.until_gone(POLICIES, f"i-{instance}", seconds=UNSWEPT_SECONDS)


@pytest.mark.release(
    twin="tests/envtest/operator/test_type_policies.py::test_with_exact_sources_it_lets_in_the_operator_alone_and_each_lease_its_users"
)
async def test_exact_sources_count_for_leases_that_run_when_they_are_turned_on(lab: Lab, operators: Operators) -> None:
    first = operators.start()
    await lab.type(warm=True)
    await lab.deployment("one")
    warm = names.warm_object(ids.deployment_id(lab.namespace, "one"), 1)
    await lab.until(PODS, warm, bool, seconds=20)
    instance = await lab.instance(workspaceType="bench", requesterAddress=SOURCE)
    await lab.until(INSTANCES, instance, lambda o: condition(o, "Bound", "status") == "True")
    assert await lab.absent(POLICIES, warm)
    first.send_signal(signal.SIGTERM)
    await asyncio.to_thread(first.wait, 60)
    operators.start(**EXACT)
    await lab.until(POLICIES, WALL, lambda o: all("from" in entry for entry in o["spec"]["ingress"]), seconds=30)
