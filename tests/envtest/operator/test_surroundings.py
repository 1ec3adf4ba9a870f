"""No workspace reaches the cluster's own networks, whichever these are now, though its type names everything.

tests/e2e/test_egress.py sends packets.
"""

import pytest

from berth_core import names
from berth_core.kube.types import Kind, Object
from berth_dev.envtest.puppets import NODES, Puppets

from .lab import INSTANCES, POLICIES, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver
SERVICE_RANGES = Kind("networking.k8s.io/v1", "servicecidrs", namespaced=False)


def out_of_reach(policy: Object) -> set[str]:
    """Networks that egress to everywhere leaves out."""
    blocks = [peer.get("ipBlock") or {} for rule in policy["spec"].get("egress") or () for peer in rule.get("to") or ()]
    return {cidr for block in blocks if block.get("cidr") == "0.0.0.0/0" for cidr in block.get("except") or ()}


async def test_egress_to_everything_leaves_them_out_and_those_of_a_node_that_comes_later(
    lab: Lab, operators: Operators, puppets: Puppets
) -> None:
    ranges, _ = await lab.client.list(SERVICE_RANGES)
    own = {cidr for one in ranges for cidr in one["spec"]["cidrs"]} | {"198.51.100.11/32"}
    assert len(own) >= 2
    operators.start()
    await lab.type(network={"egress": "list", "allowed": ["0.0.0.0/0"]})
    await lab.deployment("one")
    instance = await lab.instance(workspaceType="bench", requesterAddress="198.51.100.7")
    await lab.until(INSTANCES, instance, lambda o: condition(o, "Ready", "status") == "True", seconds=20)
    wall = names.type_policy("bench")
    await lab.until(POLICIES, wall, lambda o: own <= out_of_reach(o))

    name = f"late-{lab.namespace}"
    spec = {"podCIDR": "203.0.113.0/24", "podCIDRs": ["203.0.113.0/24"]}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": spec}
    await lab.client.create(NODES, None, node)
    try:
        await lab.until(POLICIES, wall, lambda o: own | {"203.0.113.0/24"} <= out_of_reach(o), seconds=20)
    finally:
        await lab.client.delete(NODES, None, name)
