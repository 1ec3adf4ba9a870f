"""The keeper of relays: there by value only, with the least rights and ways."""

from typing import Any

import documented
import pytest
import yaml

from berth_dev.errors import ClusterError

from .conftest import ACCESS, CHART, KEEPER, KEPT, MACHINES, NAMESPACE, WORKSPACES, Helm
from .test_canary import selects
from .test_rights import granted

NAME = "berth-keeper"


def named(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [obj for obj in objects if (obj["kind"], obj["metadata"]["name"]) == (kind, NAME)]
    return found


def test_there_is_none_unless_a_value_asks_for_it(helm: Helm) -> None:
    for words in ((), (MACHINES,)):
        assert NAME not in {obj["metadata"]["name"] for obj in helm.render(*words)}
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values["keeper"]["enabled"] is False


def test_it_runs_restricted_with_an_account_of_its_own(helm: Helm) -> None:
    objects = helm.render(*KEPT)
    kinds = sorted(obj["kind"] for obj in objects if obj["metadata"]["name"] == NAME)
    assert kinds == [
        *("Deployment", "Namespace", "NetworkPolicy", "PodDisruptionBudget"),
        *("Role", "Role", "RoleBinding", "RoleBinding", "ServiceAccount"),
    ]
    spec = named(objects, "Deployment")["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == NAME
    assert (spec["securityContext"]["runAsNonRoot"], spec["enableServiceLinks"]) == (True, False)
    assert not {"volumes", "hostNetwork"} & set(spec)
    (container,) = spec["containers"]
    security = container["securityContext"]
    assert (security["readOnlyRootFilesystem"], security["allowPrivilegeEscalation"]) == (True, False)
    assert security["capabilities"] == {"drop": ["ALL"]}
    environment = {one["name"]: one["value"] for one in container["env"]}
    assert environment["BERTH_KEEPER_NAMESPACE"] == KEEPER
    assert environment["BERTH_MACHINE_CIDRS"] == "192.168.7.0/24"
    levels = named(objects, "Namespace")["metadata"]["labels"]
    assert levels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_its_rights_are_documented_and_no_other_process_reads_its_secrets(helm: Helm) -> None:
    objects = helm.render(*KEPT)
    assert granted(objects, NAME) == documented.rights("keeper")
    readers = {
        obj["metadata"]["name"]
        for obj in objects
        if obj["kind"] in ("Role", "ClusterRole")
        and obj["metadata"].get("namespace") in (KEEPER, None)
        and any("secrets" in rule["resources"] for rule in obj["rules"])
    }
    assert readers == {NAME}


def test_it_reaches_networks_of_machines_and_the_api_server_and_asks_no_dns(helm: Helm) -> None:
    objects = helm.render(*KEPT)
    labels = named(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    policies = [obj for obj in objects if obj["kind"] == "NetworkPolicy" and obj["metadata"]["namespace"] == NAMESPACE]
    about = {policy["metadata"]["name"]: policy["spec"] for policy in policies if selects(policy, labels)}
    assert set(about) == {"berth-default-deny", "berth-to-apiserver", NAME}
    (way,) = about[NAME]["egress"]
    assert way["to"] == [{"ipBlock": {"cidr": "192.168.7.0/24"}}]
    assert {port["protocol"] for port in way["ports"]} == {"TCP", "UDP"}
    assert "ingress" not in about[NAME]
    ports = {port["port"] for rule in about["berth-to-apiserver"]["egress"] for port in rule["ports"]}
    assert 53 not in ports


def test_nobody_but_readers_of_metrics_connects_to_it(helm: Helm) -> None:
    peers = '--set-json=networkPolicy.metricsFrom=[{"podSelector": {}}]'
    (entry,) = named(helm.render(*KEPT, peers), "NetworkPolicy")["spec"]["ingress"]
    assert entry["ports"] == [{"protocol": "TCP", "port": 8080}]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--set=keeper.enabled=true",), "needs instances.machineCidrs"),
        ((*KEPT, f"--set=namespaces.keeper={ACCESS}"), "a namespace of their own"),
        ((*KEPT, f"--set=namespaces.keeper={WORKSPACES}"), "a namespace of their own"),
        ((*KEPT, f"--set=namespaces.keeper={NAMESPACE}"), "a namespace of their own"),
        ((*KEPT, "--set=keeper.patience=soon"), "keeper/patience"),
        ((*KEPT, "--set=keeper.replicas=0"), "keeper/replicas"),
    ],
)
def test_values_that_would_open_more_are_refused(helm: Helm, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        helm("template", "berth", CHART, "-n", NAMESPACE, "--validate", *words)
