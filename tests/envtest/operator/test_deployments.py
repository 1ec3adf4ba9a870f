"""Statuses of types and deployments."""

import pytest
from forked import Process

from berth_core.kube.types import Kind

from .lab import DEPLOYMENTS, INSTANCES, TYPES, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver

NODES = Kind("v1", "nodes", namespaced=False)


async def test_of_two_types_with_one_name_only_the_older_can_be_used(lab: Lab, operator: Process) -> None:
    await lab.type()
    await lab.until(TYPES, "bench", lambda o: condition(o, "Ready", "status") == "True", seconds=30)
    await lab.create(TYPES, "younger", {"typeName": "bench", "template": {"image": "other:1"}})
    conflict = await lab.until(TYPES, "younger", lambda o: condition(o, "Ready") == "IdConflict")
    assert f"{lab.namespace}/bench" in str(condition(conflict, "IdConflict", "message"))
    await lab.client.delete(TYPES, lab.namespace, "bench")
    await lab.until(TYPES, "younger", lambda o: condition(o, "Ready", "status") == "True")
    assert operator.poll() is None


async def test_a_lockout_and_its_end_show(lab: Lab, operator: Process) -> None:
    await lab.type()
    await lab.deployment("one")
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"lockout": True}})
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Lockout")
    await lab.instance("mine", workspaceType="bench")
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound") == "Waiting")
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"lockout": False}})
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound", "status") == "True")
    assert operator.poll() is None


async def test_a_deployment_with_a_node_s_heartbeat_is_online_while_its_node_is_ready(
    lab: Lab, operator: Process
) -> None:
    name = f"node-{lab.namespace}"
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"robot": lab.namespace}}}
    await lab.client.create(NODES, None, node)
    await lab.type(template={"image": "workspace.invalid/none:1"})
    overrides = {"nodeSelector": {"robot": lab.namespace}}
    await lab.create(DEPLOYMENTS, "one", {"type": "bench", "heartbeat": "node", "overrides": overrides})
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Offline", seconds=30)
    heartbeat = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    await lab.client.patch(NODES, None, name, heartbeat, subresource="status")
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free")
    assert operator.poll() is None


async def test_without_the_authority_it_waits_and_says_so(lab: Lab, operators: Operators) -> None:
    secrets = Kind("v1", "secrets")
    authority = await lab.get(secrets, "berth-agent-ca", lab.namespaces.release)
    await lab.client.delete(secrets, lab.namespaces.release, "berth-agent-ca")
    process = operators.start()
    await lab.type()
    await lab.create(DEPLOYMENTS, "one", {"type": "bench"})
    authority["metadata"] = {"name": "berth-agent-ca"}
    await lab.client.create(secrets, lab.namespaces.release, authority)
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free", seconds=30)
    assert process.poll() is None
