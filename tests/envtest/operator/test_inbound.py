"""A machine that connects to workspaces: one address for all leases, which leads to the pod of the one that runs."""

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from berth_core import ids, names
from berth_core.kube.types import Kind, Object

from .lab import DEPLOYMENTS, INSTANCES, PODS, SERVICES, Lab, condition
from .process import Operators
from .test_machines import ARM, LAB, bound, ended

pytestmark = pytest.mark.apiserver

NODES = Kind("v1", "nodes", namespaced=False)
SLICES = Kind("discovery.k8s.io/v1", "endpointslices")
NODE_ADDRESS = "198.51.100.11"
SCAN, TALK = {"protocol": "UDP", "port": 7400}, {"protocol": "TCP", "port": 7401}


def machine(*inbound: dict[str, Any]) -> dict[str, Any]:
    return {"network": {"addresses": [f"{ARM}/32"], "inbound": list(inbound)}}


@pytest.fixture
async def node(lab: Lab) -> AsyncIterator[str]:
    """A node that has nothing but a name and an address."""
    name = f"of-{lab.namespace}"
    labels = {"kubernetes.io/hostname": name}
    await lab.client.create(
        NODES, None, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
    )
    ready = {"type": "Ready", "status": "True", "reason": "Played", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {"status": {"addresses": [{"type": "InternalIP", "address": NODE_ADDRESS}], "conditions": [ready]}}
    await lab.client.patch(NODES, None, name, status, subresource="status")
    yield name
    await lab.client.delete(NODES, None, name)


async def runs(lab: Lab, pod: str, node: str, address: str) -> None:
    """Say of a pod that it runs, as scheduler and kubelet do."""
    await lab.until(PODS, pod, bool)
    await lab.bind(pod, node)
    await lab.status_patch(PODS, pod, {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]})


async def stops(lab: Lab, pod: str) -> None:
    """Say of a pod that it has ended, as the kubelet does."""
    await lab.status_patch(PODS, pod, {"phase": "Failed"})
    await lab.client.delete(PODS, lab.namespace, pod, grace_seconds=0)


async def leads_to(lab: Lab, name: str, *addresses: str) -> Object:
    """Wait until the Service leads there, and nowhere else."""
    return await lab.until(SLICES, name, lambda o: [e["addresses"] for e in o["endpoints"]] == [[a] for a in addresses])


PARKED = "192.0.2.1"


async def test_one_address_leads_to_the_pod_of_each_lease_while_it_lasts_and_else_nowhere(
    lab: Lab, operators: Operators, node: str
) -> None:
    first = operators.start(**LAB)
    await lab.type(template={"image": "workspace.invalid/none:1", "nodeSelector": {}})
    selector = {"nodeSelector": {"kubernetes.io/hostname": node}}
    await lab.deployment("one", machine=machine(SCAN, TALK), overrides=selector)
    name = names.inbound_object(ids.deployment_id(lab.namespace, "one"))
    shown = await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Inbound") == "Standing")
    service = await lab.kept(SERVICES, name)
    ports = {one["protocol"]: one["nodePort"] for one in service["spec"]["ports"]}
    assert service["spec"]["externalTrafficPolicy"] == "Local", "the pod sees the machine's own address"
    assert "selector" not in service["spec"]
    assert condition(shown, "Inbound", "message") == (
        f"the machine connects to {NODE_ADDRESS}:"
        f" TCP {ports['TCP']} for 7401, UDP {ports['UDP']} for 7400 of the workspace"
    )
    parked = await leads_to(lab, name, PARKED)
    assert "nodeName" not in parked["endpoints"][0], "no node sends anything there"
    for number, user in enumerate(("ada", "bob"), start=1):
        holder = await bound(lab, "one", user)
        await runs(lab, names.instance_object(holder["metadata"]["uid"]), node, f"198.51.100.{20 + number}")
        there = await leads_to(lab, name, f"198.51.100.{20 + number}")
        assert there["endpoints"][0]["nodeName"] == node
        if user == "bob":
            # Nobody tells an operator that begins what happened before.
            first.send_signal(signal.SIGKILL)
            await asyncio.to_thread(first.wait, 60)
        await lab.client.patch(INSTANCES, lab.namespace, user, {"spec": {"terminate": True}})
        if user == "bob":
            operators.start(**LAB)
        await leads_to(lab, name, PARKED)
        await stops(lab, names.instance_object(holder["metadata"]["uid"]))
        await lab.until(INSTANCES, user, lambda o: condition(o, "Ended", "status") == "True", seconds=20)
    kept = await lab.kept(SERVICES, name)
    assert {one["protocol"]: one["nodePort"] for one in kept["spec"]["ports"]} == ports
    await lab.client.delete(SERVICES, lab.namespace, name)
    made = await lab.until(SERVICES, name, lambda o: o["metadata"]["uid"] != service["metadata"]["uid"])
    own = made["metadata"]["uid"]
    await lab.until(SLICES, name, lambda o: o["metadata"]["ownerReferences"][0]["uid"] == own)


async def test_a_lease_keeps_the_ports_that_it_began_with_and_without_ports_nothing_stands(
    lab: Lab, operators: Operators, node: str
) -> None:
    operators.start(**LAB)
    await lab.type()
    selector = {"nodeSelector": {"kubernetes.io/hostname": node}}
    await lab.deployment("one", machine=machine(SCAN), overrides=selector)
    name = names.inbound_object(ids.deployment_id(lab.namespace, "one"))
    await lab.until(SERVICES, name, bool)
    await bound(lab, "one", "ada")
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"machine": machine(TALK)}})
    await lab.until(DEPLOYMENTS, "one", lambda o: o["status"]["observedGeneration"] == o["metadata"]["generation"])
    assert [one["port"] for one in (await lab.kept(SERVICES, name))["spec"]["ports"]] == [7400]
    await ended(lab, "ada")
    await lab.until(SERVICES, name, lambda o: [one["port"] for one in o["spec"]["ports"]] == [7401])
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"machine": machine()}})
    await lab.until_gone(SERVICES, name)
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Inbound") == "NotAsked")


async def test_a_service_of_anothers_under_the_machine_s_name_is_told_and_left_alone(
    lab: Lab, operators: Operators, node: str
) -> None:
    await lab.type()
    identity = ids.deployment_id(lab.namespace, "one")
    name = names.inbound_object(identity)
    # Apply keeps fields that it does not name, and a Service without an address takes no node port.
    ways = {"ports": [{"name": "tcp-7401", "port": 7401, "targetPort": 22}], "selector": {"app": "mallory"}}
    squatted = {"metadata": {"name": name, "labels": {"app": "mallory"}}, "spec": {"clusterIP": "None"} | ways}
    made = await lab.client.create(SERVICES, lab.namespace, squatted)
    operators.start(**LAB)
    selector = {"nodeSelector": {"kubernetes.io/hostname": node}}
    await lab.deployment("one", machine=machine(TALK), overrides=selector)
    shown = await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Inbound") == "NameTaken")
    assert f"delete it: {name}" in str(condition(shown, "Inbound", "message"))
    assert (await lab.kept(SERVICES, name))["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    await lab.client.delete(SERVICES, lab.namespace, name)
    own = await lab.until(SERVICES, name, bool, seconds=20)
    assert "selector" not in own["spec"]
    assert [port["targetPort"] for port in own["spec"]["ports"]] == [7401]
    # A deployment with the first one's id as its name has no say in the Service of the first. Ages are whole seconds.
    await asyncio.sleep(1)
    await lab.create(DEPLOYMENTS, identity, {"type": "bench"})
    await lab.until(DEPLOYMENTS, identity, lambda o: condition(o, "IdConflict", "status") == "True")
    await lab.client.patch(DEPLOYMENTS, lab.namespace, identity, {"spec": {"lockout": True}})
    await lab.until(DEPLOYMENTS, identity, lambda o: o["status"]["observedGeneration"] == o["metadata"]["generation"])
    assert (await lab.kept(SERVICES, name))["metadata"]["uid"] == own["metadata"]["uid"]


async def test_a_deployment_that_runs_anywhere_says_that_its_machine_has_no_one_address(
    lab: Lab, operators: Operators, node: str
) -> None:
    operators.start(**LAB)
    await lab.type()
    await lab.deployment("one", machine=machine(SCAN))
    shown = await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Inbound") == "NodeNotPinned")
    assert condition(shown, "Available") == "Free", "it may be lent all the same"
    assert "kubernetes.io/hostname" in str(condition(shown, "Inbound", "message"))
    # The type's nodes have a label that no node has yet.
    await lab.client.patch(NODES, None, node, {"metadata": {"labels": {"none": "such"}}})
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Inbound") == "Standing")
