"""`berth machine` against a real API server: a machine at an address, its lease, and the walls around it."""

import json
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from berth_core import names
from berth_core.firewall import OperatorPods, PolicyRequest, network_policy
from berth_core.kube.client import Client
from berth_core.kube.conditions import condition
from berth_core.kube.types import Object
from berth_core.machines.placement import WALLED, Grounds
from berth_core.names import API_VERSION
from berth_core.reasons.deployment import REACHABLE
from berth_core.resources import Instance, WorkspaceDeployment, WorkspaceType
from berth_dev.envtest.accounts import account
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces

from . import lab
from .conftest import Run

ARM = {"network": {"addresses": ["192.0.2.40/32"], "ports": [{"protocol": "TCP", "port": 30002}]}}
ELSEWHERE = {"network": {"addresses": ["198.51.100.9/32"]}}
NODE: Object = {"apiVersion": "v1", "kind": "Node", "spec": {"podCIDRs": ["10.244.77.0/24"]}}


def operator(apiserver: ApiServer, namespaces: Namespaces) -> None:
    """The operator's Deployment, whose environment has the values of the release; nothing runs it here."""
    variables = {"BERTH_MACHINE_CIDRS": "192.0.2.0/24", "BERTH_WORKSPACE_NAMESPACES": namespaces.workspaces}
    environment = [{"name": name, "value": value} for name, value in variables.items()]
    labels = {"app": "berth-operator"}
    containers = [{"name": "operator", "image": "localhost/berth:0", "env": environment}]
    spec = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
    }
    metadata = {"name": "berth-operator", "namespace": namespaces.release}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    apiserver.kubectl("create", "-f", "-", stdin=json.dumps(body))


async def kind(client: Client, where: str) -> None:
    """The type misty, whose pods NetworkPolicy holds."""
    spec = {"typeName": "misty", "template": {"image": "example/workspace"}}
    body: Object = {"apiVersion": API_VERSION, "kind": "WorkspaceType", "metadata": {"name": "misty"}, "spec": spec}
    await client.create(WorkspaceType.api(), where, body)
    enforced = condition("NetworkPolicyEnforced", True, "ProbeBlocked", "a probe was blocked", now=lab.NOW)
    status = {"status": {"conditions": [enforced.wire()]}}
    await client.patch(WorkspaceType.api(), where, "misty", status, subresource="status")


async def arm(client: Client, where: str, name: str, machine: object = ARM) -> None:
    """A deployment at an address that the operator has looked at."""
    await lab.deployment(client, where, name, machine=machine, health={"tcp": 30002})
    kinds = ((WALLED, "TwoWalls", "both walls stand"), (REACHABLE, "Answers", "tcp 192.0.2.40:30002 answers"))
    entries = [condition(kind, True, reason, text, now=lab.NOW).wire() for kind, reason, text in kinds]
    await client.patch(
        WorkspaceDeployment.api(), where, name, {"status": {"conditions": entries}}, subresource="status"
    )


async def wall(client: Client, where: str, instance: str, deployment: str, **egress: Any) -> None:
    """The NetworkPolicy of a lease, as the operator makes it, or with another egress."""
    bound = Instance.parse(await client.get(Instance.api(), where, instance))
    grounds = Grounds(machines=(ip_network("192.0.2.0/24"),))
    labels = names.lease_labels(instance, bound.status.epoch or 0, deployment)
    request = PolicyRequest(
        name=names.instance_object(instance),
        namespace=where,
        labels=labels,
        selector=labels,
        rules=(),
        operator=OperatorPods("berth"),
        machines=grounds.around(bound.network),
    )
    manifest = network_policy(request)
    manifest["spec"] |= egress
    await client.apply(lab.POLICIES, manifest)


def results(done: Any) -> dict[str, dict[str, str]]:
    return {one["check"]: one for one in json.loads(done.out)}


async def test_a_check_goes_through_the_life_of_a_machine(
    apiserver: ApiServer, client: Client, namespaces: Namespaces, berth: Run
) -> None:
    where = namespaces.workspaces
    operator(apiserver, namespaces)
    await kind(client, where)
    await arm(client, where, "arm-1")
    words = ("machine", "check", "arm-1", "-w", where, "-n", namespaces.release)
    free = berth(*words, "-o", "json")
    assert free.code == 0, free.out + free.err
    assert {one["level"] for one in results(free).values()} == {"ok", "open"}

    instance = await lab.lend(client, where, "arm-1", "ada", machine=ARM)
    missing = berth(*words, "-o", "json")
    assert results(missing)["lease's NetworkPolicy"]["level"] == "unknown", "it is not ready yet"
    await wall(client, where, instance, "arm-1")
    held = berth(*words, "-o", "json")
    assert held.code == 0, held.out + held.err
    assert results(held)["lease's NetworkPolicy"]["level"] == "ok"

    await wall(client, where, instance, "arm-1", egress=[{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}])
    broken = berth(*words)
    assert broken.code == 1
    assert "192.0.2.0/24" in broken.out
    assert "kubectl delete networkpolicy" in broken.out


async def test_a_second_deployment_and_an_address_outside_are_named(
    apiserver: ApiServer, client: Client, namespaces: Namespaces, berth: Run
) -> None:
    where = namespaces.workspaces
    operator(apiserver, namespaces)
    await kind(client, where)
    await arm(client, where, "arm-1")
    await arm(client, where, "arm-2")
    await arm(client, where, "arm-3", ELSEWHERE)
    levels = set()
    for name, other in (("arm-1", "arm-2"), ("arm-2", "arm-1")):
        done = berth("machine", "check", name, "-w", where, "-n", namespaces.release, "-o", "json")
        found = results(done)["other deployments"]
        assert f"{where}/{other}" in found["says"]
        levels.add((found["level"], done.code))
    assert levels == {("warning", 0), ("failed", 1)}
    done = berth("machine", "check", "arm-3", "-w", where, "-n", namespaces.release, "-o", "json")
    assert (done.code, results(done)["addresses"]["level"]) == (1, "failed")


async def test_a_router_is_told_the_addresses_of_the_nodes(
    apiserver: ApiServer, client: Client, namespaces: Namespaces, berth: Run
) -> None:
    where = namespaces.workspaces
    operator(apiserver, namespaces)
    await kind(client, where)
    await arm(client, where, "arm-1")
    apiserver.kubectl("create", "-f", "-", stdin=json.dumps(NODE | {"metadata": {"name": where}}))
    try:
        done = berth("machine", "check", "arm-1", "-w", where, "-n", namespaces.release)
    finally:
        apiserver.kubectl("delete", "node", where)
    assert done.code == 0, done.err
    assert "ip daddr { 192.0.2.40/32 } ip saddr != { " in done.out
    assert "10.244.77.0/24" in done.out


async def test_what_may_not_be_read_is_unknown(
    apiserver: ApiServer, client: Client, namespaces: Namespaces, berth: Run, tmp_path: Path
) -> None:
    where = namespaces.workspaces
    await arm(client, where, "arm-1")
    rule = {"apiGroups": ["berth.dev"], "resources": ["workspacedeployments"], "verbs": ["get", "list"]}
    path = account(apiserver, "looker", where, {where: [rule]}, tmp_path)
    done = berth("machine", "check", "arm-1", "-w", where, "--kubeconfig", str(path), "-o", "json")
    assert done.code == 0, done.err
    found = results(done)
    assert {found[name]["level"] for name in ("addresses", "other deployments", "other NetworkPolicies")} == {"unknown"}


async def test_a_machine_is_shown_with_its_holder_and_the_endpoints_of_the_lease(
    client: Client, namespaces: Namespaces, berth: Run
) -> None:
    where = namespaces.workspaces
    await arm(client, where, "arm-1")
    free = berth("machine", "show", "arm-1", "-w", where)
    assert free.code == 0, free.err
    assert "192.0.2.40/32 TCP 30002" in free.out
    assert "nobody" in free.out
    instance = await lab.lend(client, where, "arm-1", "ada", machine=ARM)
    await client.patch(WorkspaceDeployment.api(), where, "arm-1", {"spec": {"machine": ELSEWHERE}})
    shown = json.loads(berth("machine", "show", "arm-1", "-w", where, "-o", "json").out)
    assert (shown["lease"]["instance"], shown["lease"]["user"]) == (instance, "ada")
    assert shown["leasedNetwork"]["addresses"] == ["192.0.2.40/32"]
    assert shown["network"]["addresses"] == ["198.51.100.9/32"]
    assert {entry["type"] for entry in shown["conditions"]} >= {WALLED, REACHABLE}


def test_no_such_machine(namespaces: Namespaces, berth: Run) -> None:
    for word in ("show", "check"):
        assert berth("machine", word, "arm-9", "-w", namespaces.workspaces).code == 4
