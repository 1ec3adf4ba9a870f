"""Where scripts get to: by the NetworkPolicy that stands while they run, address by address.

tests/e2e/test_egress.py sends packets.
"""

from ipaddress import ip_address, ip_network

import pytest

from berth_core.kube.types import Object
from berth_dev.envtest.puppets import NODES, Puppets

from .builds import CI, build, found, project, started
from .lab import POLICIES, TYPES, Lab
from .process import Operators

pytestmark = pytest.mark.apiserver
METADATA, MACHINES, NODE, PRIVATE, PUBLIC = "169.254.169.254", "192.168.7.4", "198.51.100.11", "10.1.2.3", "8.8.8.8"
LATER = "203.0.113.0/24"
"""Pods of a node that comes later."""


def gets_to(policy: Object, address: str, port: int) -> bool:
    """Whether an enforcer lets a connection out, but for what it knows of pods."""
    return any(
        ip_address(address) in ip_network(peer["ipBlock"]["cidr"])
        and not any(ip_address(address) in ip_network(hole) for hole in peer["ipBlock"].get("except", ()))
        for rule in policy["spec"].get("egress", ())
        if not rule.get("ports") or any(entry["port"] == port for entry in rule["ports"])
        for peer in rule["to"]
        if "ipBlock" in peer
    )


async def ran(lab: Lab, name: str, workspace: str | None = None) -> Object:
    """The policy of a build whose script has its pod."""
    uid = await build(lab, name)
    await found(lab, uid, workspace=workspace)
    await started(lab, uid, "run")
    return await lab.get(POLICIES, f"b-{uid}-1")


async def test_a_script_gets_to_its_repository_s_port_and_to_where_the_administrator_says(
    lab: Lab, operators: Operators, puppets: Puppets
) -> None:
    operators.start(**CI, BERTH_CI_EGRESS="192.168.0.0/16,198.51.100.0/24", BERTH_MACHINE_CIDRS="192.168.7.0/24")
    await project(lab)
    policy = await ran(lab, "one")
    for port in (443, 5432):
        for address in (METADATA, MACHINES, NODE, PRIVATE):
            assert not gets_to(policy, address, port), (address, port)
        assert gets_to(policy, "192.168.8.4", port)
        assert gets_to(policy, "198.51.100.12", port)
    assert gets_to(policy, PUBLIC, 443), "a name may lead to any public address"
    assert not gets_to(policy, PUBLIC, 5432)


async def test_a_script_with_a_machine_gets_to_that_and_to_where_its_type_says(
    lab: Lab, operators: Operators, puppets: Puppets
) -> None:
    operators.start(**CI, BERTH_CI_EGRESS="open", BERTH_MACHINE_CIDRS="192.168.7.0/24")
    await lab.type(network={"egress": "list", "allowed": ["10.0.0.0/8", "192.168.0.0/16", "169.254.0.0/16"]})
    await lab.deployment("desk")
    await project(lab)
    policy = await ran(lab, "one", workspace="bench")
    for port in (443, 5432):
        for address in (METADATA, MACHINES, NODE):
            assert not gets_to(policy, address, port), (address, port)
        assert gets_to(policy, PRIVATE, port)
    assert gets_to(policy, PUBLIC, 443), "a name may lead to any public address"
    assert not gets_to(policy, PUBLIC, 5432), "ci.egress is for scripts without a machine"
    pods = [peer for rule in policy["spec"]["egress"] for peer in rule["to"] if "podSelector" in peer]
    assert {"berth.dev/deployment": "desk", "berth.dev/epoch": "1"} in [
        peer["podSelector"]["matchLabels"] for peer in pods if "namespaceSelector" not in peer
    ]
    (announced,) = [
        (peer["ipBlock"]["cidr"], rule["ports"])
        for rule in policy["spec"]["egress"]
        for peer in rule["to"]
        if peer.get("ipBlock", {}).get("cidr") == f"{NODE}/32"
    ]
    assert len(announced[1]) == 1, "its announced address by its port only"


async def test_a_node_that_comes_is_out_of_reach_of_builds_that_run_and_a_type_that_goes_opens_nothing(
    lab: Lab, operators: Operators, puppets: Puppets
) -> None:
    operators.start(**CI, BERTH_CI_EGRESS=f"open,{LATER}")
    made = await lab.type(network={"egress": "list", "allowed": ["10.0.0.0/8", LATER]})
    await lab.deployment("desk")
    await project(lab)
    policies = [await ran(lab, "with", workspace="bench"), await ran(lab, "without")]
    assert all(gets_to(policy, "203.0.113.5", 5432) for policy in policies)
    await lab.client.delete(TYPES, lab.namespace, made["metadata"]["name"])
    name = f"late-{lab.namespace}"
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {"podCIDR": LATER, "podCIDRs": [LATER]},
    }
    await lab.client.create(NODES, None, node)
    try:
        for policy in policies:
            await lab.until(
                POLICIES, policy["metadata"]["name"], lambda o: not gets_to(o, "203.0.113.5", 5432), seconds=20
            )
        policy = await lab.get(POLICIES, policies[0]["metadata"]["name"])
        assert not gets_to(policy, PRIVATE, 5432)
        assert not gets_to(policy, PUBLIC, 5432)
        policy = await lab.get(POLICIES, policies[1]["metadata"]["name"])
        assert gets_to(policy, PUBLIC, 5432)
    finally:
        await lab.client.delete(NODES, None, name)
