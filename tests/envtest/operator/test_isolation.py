"""Pods get a user namespace by what nodes say now. tests/e2e/test_isolation.py looks at the kernel."""

from collections.abc import AsyncIterator

import pytest

from berth_core.kube.types import Kind, Object
from berth_dev.envtest.puppets import NODES

from .lab import INSTANCES, PODS, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver
RUNTIME_CLASSES = Kind("node.k8s.io/v1", "runtimeclasses", namespaced=False)


@pytest.fixture
async def node(lab: Lab) -> AsyncIterator[str]:
    """A node of this test's own, which says nothing of its runtimes yet; its name is its label too."""
    name = f"node-{lab.namespace}"
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"only": name}}}
    await lab.client.create(NODES, None, body)
    yield name
    await lab.client.delete(NODES, None, name)


@pytest.fixture
async def runtime_class(lab: Lab) -> AsyncIterator[str]:
    """A RuntimeClass whose handler is `sandbox`."""
    name = f"class-{lab.namespace}"
    body = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": "sandbox"}
    await lab.client.create(RUNTIME_CLASSES, None, body)
    yield name
    await lab.client.delete(RUNTIME_CLASSES, None, name)


async def says(lab: Lab, node: str, *, sandbox: bool, ready: str) -> None:
    """Let a node tell of two handlers whether they have user namespaces, and whether it is Ready."""
    told = [{"name": name, "features": {"userNamespaces": able}} for name, able in (("", True), ("sandbox", sandbox))]
    status = {"runtimeHandlers": told, "conditions": [{"type": "Ready", "status": ready}]}
    await lab.client.patch(NODES, None, node, {"status": status}, subresource="status")


async def leased(lab: Lab, machine: str) -> tuple[object, Object]:
    """Take a machine: whether its pod asks for the host's users, and the Instance once it says so."""
    instance = await lab.instance(deployments=[machine])
    pod = await lab.until(PODS, f"i-{instance}", lambda _: True)
    told = await lab.until(INSTANCES, instance, lambda o: condition(o, "UserNamespace") != "")
    return pod["spec"].get("hostUsers"), told


async def test_it_is_on_once_the_node_says_that_its_runtime_can(
    lab: Lab, operators: Operators, node: str, runtime_class: str
) -> None:
    template = {"image": "workspace.invalid/none:1", "nodeSelector": {"only": node}}
    await says(lab, node, sandbox=False, ready="False")
    operators.start()
    await lab.type(template=template)
    await lab.type("boxed", template=template | {"runtimeClassName": runtime_class})
    await lab.deployment("one")
    await lab.deployment("two", "boxed")

    host_users, instance = await leased(lab, "one")
    assert host_users is False
    assert condition(instance, "UserNamespace", "status") == "True"

    host_users, instance = await leased(lab, "two")
    assert host_users is not False
    assert condition(instance, "UserNamespace") == "NodeCannot"
    assert node in str(condition(instance, "UserNamespace", "message"))

    await says(lab, node, sandbox=True, ready="True")
    await lab.deployment("three", "boxed", heartbeat="node")  # free when the operator has heard of the node
    host_users, instance = await leased(lab, "three")
    assert host_users is False
    assert condition(instance, "UserNamespace", "status") == "True"
