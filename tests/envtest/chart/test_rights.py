"""Rights of each process, and above all the rights that it lacks."""

import itertools
from typing import Any

import documented
import pytest
from documented import Right

from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.asking import asking

from .conftest import ACCESS, AGGREGATED, NAMESPACE, WORKSPACES, Helm

OPERATOR = f"system:serviceaccount:{NAMESPACE}:berth-operator"
API = f"system:serviceaccount:{NAMESPACE}:berth-api"
NOTIFIER = f"system:serviceaccount:{NAMESPACE}:berth-notifier"
HUB = f"system:serviceaccount:{NAMESPACE}:berth-hub"

MAY = [
    (OPERATOR, "patch", "instances.berth.dev/status", WORKSPACES),
    (OPERATOR, "patch", "workspacedeployments.berth.dev/status", WORKSPACES),
    (OPERATOR, "patch", "workspacedeployments.berth.dev", WORKSPACES),
    (OPERATOR, "delete", "instances.berth.dev", WORKSPACES),
    (OPERATOR, "delete", "reservations.berth.dev", WORKSPACES),
    (OPERATOR, "create", "pods", WORKSPACES),
    (OPERATOR, "create", "instances.berth.dev", WORKSPACES),
    (OPERATOR, "claim", "instances.berth.dev", WORKSPACES),
    (OPERATOR, "patch", "reservations.berth.dev/status", WORKSPACES),
    (OPERATOR, "watch", "accessrules.berth.dev", WORKSPACES),
    (OPERATOR, "create", "secrets", ACCESS),
    (OPERATOR, "delete", "secrets", WORKSPACES),
    (OPERATOR, "create", "networkpolicies.networking.k8s.io", WORKSPACES),
    (OPERATOR, "list", "networkpolicies.networking.k8s.io", WORKSPACES),
    (OPERATOR, "delete", "poddisruptionbudgets.policy", WORKSPACES),
    (OPERATOR, "get", "secrets/berth-agent-ca", NAMESPACE),
    (OPERATOR, "patch", "leases.coordination.k8s.io/berth-operator", NAMESPACE),
    (OPERATOR, "watch", "nodes", ""),
    (OPERATOR, "delete", "secrets", ACCESS),
    (OPERATOR, "delete", "tokenrevocations.berth.dev", ACCESS),
    (OPERATOR, "watch", "leases.coordination.k8s.io", WORKSPACES),
    (OPERATOR, "create", "jobs.batch", WORKSPACES),
    (OPERATOR, "get", "pods/log", WORKSPACES),
    (OPERATOR, "patch", "configmaps", WORKSPACES),
    (OPERATOR, "delete", "configmaps", WORKSPACES),
    (OPERATOR, "patch", "builds.berth.dev/status", WORKSPACES),
    (OPERATOR, "list", "pods", NAMESPACE),
    (API, "patch", "workspacedeployments.berth.dev/status", WORKSPACES),
    (API, "create", "instances.berth.dev", WORKSPACES),
    (API, "actfor", "instances.berth.dev", WORKSPACES),
    (API, "claim", "instances.berth.dev", WORKSPACES),
    (API, "get", "secrets", ACCESS),
    (API, "patch", "workspacedeployments.berth.dev", WORKSPACES),
    (API, "create", "accessrules.berth.dev", WORKSPACES),
    (API, "patch", "leases.coordination.k8s.io", WORKSPACES),
    (API, "create", "tokenrevocations.berth.dev", ACCESS),
    (API, "patch", "accounts.berth.dev", ACCESS),
    (API, "patch", "accounts.berth.dev/status", ACCESS),
    (API, "get", "leases.coordination.k8s.io/berth-operator", NAMESPACE),
    (API, "get", "leases.coordination.k8s.io", WORKSPACES),
    (OPERATOR, "patch", "accounts.berth.dev/status", ACCESS),
    (OPERATOR, "create", "deliveries.berth.dev", WORKSPACES),
    (NOTIFIER, "watch", "deliveries.berth.dev", WORKSPACES),
    (NOTIFIER, "patch", "deliveries.berth.dev/status", WORKSPACES),
    (OPERATOR, "get", "secrets/berth-connector-ca", NAMESPACE),
    (OPERATOR, "patch", "secrets/berth-hub-tls", NAMESPACE),
    (OPERATOR, "patch", "connectors.berth.dev/status", WORKSPACES),
    (HUB, "watch", "connectors.berth.dev", WORKSPACES),
    (HUB, "patch", "connectors.berth.dev/status", WORKSPACES),
    (HUB, "patch", "leases.coordination.k8s.io/berth-hub-0", NAMESPACE),
]

MAY_NOT = [
    (OPERATOR, "restore", "workspacedeployments.berth.dev", WORKSPACES),
    (OPERATOR, "abandon", "workspacedeployments.berth.dev", WORKSPACES),
    (OPERATOR, "delete", "workspacedeployments.berth.dev", WORKSPACES),
    (API, "restore", "workspacedeployments.berth.dev", WORKSPACES),
    (OPERATOR, "create", "reservations.berth.dev", WORKSPACES),
    (OPERATOR, "patch", "workspacetypes.berth.dev", WORKSPACES),
    (OPERATOR, "create", "pods/exec", WORKSPACES),
    (OPERATOR, "get", "secrets/berth-token-signing", NAMESPACE),
    (OPERATOR, "list", "secrets", NAMESPACE),
    (OPERATOR, "get", "secrets", ACCESS),
    (OPERATOR, "create", "pods", NAMESPACE),
    (OPERATOR, "create", "jobs.batch", NAMESPACE),
    (OPERATOR, "patch", "jobs.batch", WORKSPACES),
    (OPERATOR, "create", "poddisruptionbudgets.policy", WORKSPACES),
    (OPERATOR, "patch", "poddisruptionbudgets.policy", WORKSPACES),
    (OPERATOR, "get", "pods/log", NAMESPACE),
    (OPERATOR, "get", "configmaps", WORKSPACES),
    (OPERATOR, "patch", "builds.berth.dev", WORKSPACES),
    (OPERATOR, "create", "pods/exec", WORKSPACES),
    (OPERATOR, "list", "leases.coordination.k8s.io", NAMESPACE),
    (OPERATOR, "get", "pods", NAMESPACE),
    (OPERATOR, "patch", "accounts.berth.dev", ACCESS),
    (OPERATOR, "delete", "accounts.berth.dev", ACCESS),
    (OPERATOR, "create", "leases.coordination.k8s.io", WORKSPACES),
    (OPERATOR, "create", "tokenrevocations.berth.dev", ACCESS),
    (OPERATOR, "get", "pods", "kube-system"),
    (OPERATOR, "patch", "nodes", ""),
    (OPERATOR, "get", "deliveries.berth.dev", WORKSPACES),
    (OPERATOR, "get", "secrets/berth-webhook-signing", NAMESPACE),
    (NOTIFIER, "create", "deliveries.berth.dev", WORKSPACES),
    (NOTIFIER, "patch", "deliveries.berth.dev", WORKSPACES),
    (NOTIFIER, "get", "reservations.berth.dev", WORKSPACES),
    (NOTIFIER, "get", "instances.berth.dev", WORKSPACES),
    (NOTIFIER, "get", "secrets", WORKSPACES),
    (NOTIFIER, "get", "secrets", ACCESS),
    (NOTIFIER, "get", "secrets/berth-webhook-signing", NAMESPACE),
    (NOTIFIER, "list", "deliveries.berth.dev", NAMESPACE),
    (API, "create", "deliveries.berth.dev", WORKSPACES),
    (API, "get", "secrets/berth-webhook-signing", NAMESPACE),
    (API, "get", "secrets", WORKSPACES),
    (API, "list", "secrets", ACCESS),
    (API, "get", "secrets/berth-token-signing", NAMESPACE),
    (API, "get", "secrets/berth-agent-ca", NAMESPACE),
    (API, "create", "pods", WORKSPACES),
    (API, "create", "jobs.batch", WORKSPACES),
    (API, "patch", "instances.berth.dev/status", WORKSPACES),
    (API, "delete", "instances.berth.dev", WORKSPACES),
    (API, "get", "nodes", ""),
    (API, "list", "instances.berth.dev", NAMESPACE),
    (API, "create", "workspacedeployments.berth.dev", WORKSPACES),
    (API, "delete", "workspacedeployments.berth.dev", WORKSPACES),
    (API, "patch", "accessrules.berth.dev", WORKSPACES),
    (API, "create", "issuedtokens.berth.dev", ACCESS),
    (API, "list", "issuedtokens.berth.dev", ACCESS),
    (API, "delete", "tokenrevocations.berth.dev", ACCESS),
    (API, "delete", "accounts.berth.dev", ACCESS),
    (API, "get", "secrets", NAMESPACE),
    (API, "get", "leases.coordination.k8s.io", NAMESPACE),
    (API, "patch", "leases.coordination.k8s.io/berth-operator", NAMESPACE),
    (API, "list", "leases.coordination.k8s.io", WORKSPACES),
    (OPERATOR, "patch", "connectors.berth.dev", WORKSPACES),
    (OPERATOR, "patch", "secrets/berth-connector-ca", NAMESPACE),
    (HUB, "patch", "connectors.berth.dev", WORKSPACES),
    (HUB, "create", "connectors.berth.dev", WORKSPACES),
    (HUB, "patch", "leases.coordination.k8s.io/berth-operator", NAMESPACE),
    (HUB, "get", "secrets/berth-connector-ca", NAMESPACE),
    (HUB, "get", "secrets/berth-hub-tls", NAMESPACE),
    (HUB, "get", "instances.berth.dev", WORKSPACES),
    (HUB, "get", "workspacedeployments.berth.dev", WORKSPACES),
    (HUB, "get", "secrets", WORKSPACES),
]


PROCESSES = ("berth-operator", "berth-api", "berth-notifier", "berth-keys", "berth-check", "berth-uninstall")


def can(server: ApiServer, who: str, verb: str, what: str, where: str) -> bool:
    what, _, rest = what.partition("/")
    resource, _, group = what.partition(".")
    part = "subresource" if rest in ("status", "exec", "log") else "name"
    asked = {"verb": verb, "group": group, "resource": resource, "namespace": where, part: rest}
    api = "authorization.k8s.io/v1"
    review = {"apiVersion": api, "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": asked}}
    with asking(server) as ask:
        answer = ask(who, "POST", f"/apis/{api}/selfsubjectaccessreviews", review, dry=False)
    allowed: bool = answer.raise_for_status().json()["status"]["allowed"]
    return allowed


@pytest.mark.parametrize(("who", "verb", "what", "where"), MAY)
def test_a_process_may_do_its_work(installed: ApiServer, who: str, verb: str, what: str, where: str) -> None:
    assert can(installed, who, verb, what, where)


@pytest.mark.parametrize(("who", "verb", "what", "where"), MAY_NOT)
def test_a_process_may_do_nothing_else(installed: ApiServer, who: str, verb: str, what: str, where: str) -> None:
    assert not can(installed, who, verb, what, where)


def rules(objects: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    roles = [obj for obj in objects if obj["kind"] in ("Role", "ClusterRole")]
    return list(itertools.chain.from_iterable([(r["metadata"]["name"], rule) for rule in r["rules"]] for r in roles))


def test_no_role_has_a_wildcard(installed: ApiServer, helm: Helm) -> None:
    for name, rule in rules(helm.render()):
        for part in ("apiGroups", "resources", "verbs"):
            assert "*" not in rule[part], name


def test_each_process_has_an_account_and_roles_of_its_own(installed: ApiServer, helm: Helm) -> None:
    objects = helm.render()
    bindings = [obj for obj in objects if obj["kind"] in ("RoleBinding", "ClusterRoleBinding")]
    for binding in bindings:
        (subject,) = binding["subjects"]
        role = binding["roleRef"]["name"].removesuffix(f"-{NAMESPACE}")
        assert subject == {"kind": "ServiceAccount", "name": role, "namespace": NAMESPACE}
    pods = {
        obj["metadata"]["name"]: obj["spec"]["template"]["spec"]["serviceAccountName"]
        for obj in objects
        if obj["kind"] in ("Deployment", "Job")
    }
    assert pods == {name: name for name in PROCESSES}


def test_the_uninstall_job_takes_finalizers_of_warm_pods_and_gives_leases_back_only_by_force(helm: Helm) -> None:
    plain = granted(helm.render(), "berth-uninstall")
    assert {right for right in plain if right[2] in ("pods", "secrets")} == {
        ("release", "", "pods", "", "list"),
        *(("workspaces", "", "pods", "", verb) for verb in ("get", "list", "patch", "delete")),
        ("workspaces", "", "secrets", "", "delete"),
        ("access", "", "secrets", "", "list"),
        ("access", "", "secrets", "", "delete"),
    }
    forced = granted(helm.render("--set", "uninstall.force=true"), "berth-uninstall") - plain
    assert {right[:3] for right in forced} == {("workspaces", "berth.dev", "workspacedeployments/status")}


def granted(objects: list[dict[str, Any]], account: str) -> set[Right]:
    """Every right that the roles of one name give, by place."""
    places = {WORKSPACES: "workspaces", ACCESS: "access", NAMESPACE: "release", None: "cluster"}
    return {
        (places[role["metadata"].get("namespace")], group, resource, name, verb)
        for role in objects
        if role["kind"] in ("Role", "ClusterRole") and role["metadata"]["name"].removesuffix(f"-{NAMESPACE}") == account
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
        for verb in rule["verbs"]
    }


def test_the_rights_are_those_that_each_process_documents(helm: Helm) -> None:
    objects = helm.render()
    assert granted(objects, "berth-operator") == documented.rights("operator")
    assert granted(objects, "berth-api") == documented.rights("api")
    assert granted(objects, "berth-notifier") == documented.rights("notifier")
    assert granted(helm.render("--set", "hub.enabled=true"), "berth-hub") == documented.rights("hub")


def test_the_clusters_own_roles_have_berths_rights_only_by_value(helm: Helm) -> None:
    """Else whoever has `edit` anywhere has what the chart gives, and nobody said so."""

    def aggregated(*words: str) -> list[str]:
        return [
            role["metadata"]["name"]
            for role in helm.render(*words)
            if role["kind"] == "ClusterRole" and any("aggregate-to" in label for label in role["metadata"]["labels"])
        ]

    assert aggregated() == []
    assert aggregated(AGGREGATED) == ["berth-viewer", "berth-user", "berth-admin"]
