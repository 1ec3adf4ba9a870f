"""A load balancer is told whom the rules let in. Agents are played here; tests/e2e/test_addresses.py sends packets."""

import pytest

from berth_core.kube.types import Object
from berth_dev.envtest.puppets import Puppets
from berth_operator.instances.manifests.service import NOBODY

from .lab import INSTANCES, RULES, SERVICES, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver
BALANCED = {"BERTH_SERVICE_TYPE": "LoadBalancer", "BERTH_NETWORK_POLICY_SOURCES": "exact"}


def told(service: Object) -> list[str] | None:
    ranges: list[str] | None = service["spec"].get("loadBalancerSourceRanges")
    return ranges


async def test_it_is_told_whom_the_rules_let_in_and_each_change_of_them(
    lab: Lab, operators: Operators, puppets: Puppets
) -> None:
    operators.start(**BALANCED)
    await lab.type()
    await lab.deployment("one")
    instance = await lab.instance(workspaceType="bench", requesterAddress="198.51.100.7")
    made = await lab.until(SERVICES, f"i-{instance}", told)
    assert (made["spec"]["type"], told(made)) == ("LoadBalancer", ["198.51.100.7/32"])
    address = {"status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.60"}]}}}
    await lab.client.patch(SERVICES, lab.namespace, f"i-{instance}", address, subresource="status")
    ready = await lab.until(INSTANCES, instance, lambda o: condition(o, "Ready", "status") == "True", seconds=20)
    assert ready["status"]["address"]["ipv4"] == "198.51.100.60"

    await lab.create(RULES, "lab", {"instance": instance, "order": 1, "source": "203.0.113.0/24"})
    both = ["198.51.100.7/32", "203.0.113.0/24"]
    await lab.until(SERVICES, f"i-{instance}", lambda o: told(o) == both)
    for rule in (f"{instance}-0", "lab"):
        await lab.client.delete(RULES, lab.namespace, rule)
    await lab.until(SERVICES, f"i-{instance}", lambda o: told(o) == [NOBODY])

    operators.stop_all()
    await lab.create(RULES, "meanwhile", {"instance": instance, "source": "203.0.113.9/32"})
    operators.start(**BALANCED)
    await lab.until(SERVICES, f"i-{instance}", lambda o: told(o) == ["203.0.113.9/32"], seconds=30)
