"""The canary of pods without an agent: there where machines have networks, without any right, on the known ports."""

from typing import Any

from berth_operator.networks import CANARY
from berth_operator.podspec.wall import CANARY_PORT, CONTROL_PORT

from .conftest import MACHINES, NAMESPACE, Helm

COMPONENT = "app.kubernetes.io/component"


def named(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [obj for obj in objects if obj["kind"] == kind and obj["metadata"]["name"] == CANARY]
    return found


def selects(policy: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a NetworkPolicy is about pods with these labels."""
    selector = policy["spec"]["podSelector"]
    excluded = any(
        entry["operator"] == "NotIn" and labels.get(entry["key"]) in entry["values"]
        for entry in selector.get("matchExpressions", ())
    )
    return not excluded and selector.get("matchLabels", {}).items() <= labels.items()


def test_there_is_none_where_no_machine_has_a_network(helm: Helm) -> None:
    assert CANARY not in {obj["metadata"]["name"] for obj in helm.render()}


def test_it_has_no_right_no_token_and_no_way_out(helm: Helm) -> None:
    objects = helm.render(MACHINES)
    assert {obj["kind"] for obj in objects if obj["metadata"]["name"] == CANARY} == {
        "Deployment",
        "Service",
        "NetworkPolicy",
        "PodDisruptionBudget",
    }
    template = named(objects, "Deployment")["spec"]["template"]
    spec = template["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert not {"serviceAccountName", "volumes", "hostNetwork"} & set(spec)
    (container,) = spec["containers"]
    assert "env" not in container
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    labels = template["metadata"]["labels"]
    policies = [obj for obj in objects if obj["kind"] == "NetworkPolicy" and obj["metadata"]["namespace"] == NAMESPACE]
    about = [policy for policy in policies if selects(policy, labels)]
    assert {policy["metadata"]["name"] for policy in about} == {"berth-default-deny", CANARY}
    assert not any(policy["spec"].get("egress") for policy in about)


def test_pods_of_hooks_and_builds_get_in_on_both_ports_so_that_their_own_policy_decides(helm: Helm) -> None:
    objects = helm.render(MACHINES)
    ports = [CONTROL_PORT, CANARY_PORT]
    (entry,) = named(objects, "NetworkPolicy")["spec"]["ingress"]
    assert [port["port"] for port in entry["ports"]] == ports
    keys = [peer["podSelector"]["matchExpressions"][0]["key"] for peer in entry["from"]]
    assert keys == ["berth.dev/hook", "berth.dev/build-step"]
    assert all("namespaceSelector" in peer for peer in entry["from"])
    service, deployment = named(objects, "Service")["spec"], named(objects, "Deployment")["spec"]["template"]
    assert [port["port"] for port in service["ports"]] == ports
    (container,) = deployment["spec"]["containers"]
    assert container["command"][-2:] == [str(port) for port in ports]
    assert service["selector"].items() <= deployment["metadata"]["labels"].items()
    assert service["selector"][COMPONENT] == "canary"
