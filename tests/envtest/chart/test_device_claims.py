"""Devices of machines are for leases: who may claim one of a labelled class, and who touches Berth's own claims."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.asking import asking
from berth_dev.errors import ClusterError

from .conftest import NAMESPACE, WORKSPACES, Helm, MakePerson, applied, introduce, until

pytestmark = pytest.mark.apiserver

OPERATOR = f"system:serviceaccount:{NAMESPACE}:berth-operator"
NAMESAKE = "system:serviceaccount:elsewhere:berth-operator"
"""An account that anybody may make in a namespace of theirs."""
ELSEWHERE = "elsewhere"
LENT, OTHERS = "lent.devices.test", "others.devices.test"
API = "resource.k8s.io/v1"
MARKS = {"berth.dev/instance": "x", "app.kubernetes.io/managed-by": "berth"}


def device_class(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": API, "kind": "DeviceClass", "metadata": {"name": name, "labels": labels}, "spec": {}}


def claim(namespace: str, *classes: str, **more: Any) -> dict[str, Any]:
    requests = [{"name": f"r{n}", "exactly": {"deviceClassName": name, **more}} for n, name in enumerate(classes)]
    metadata = {"name": f"x-{uuid.uuid4().hex[:12]}", "namespace": namespace}
    return {
        "apiVersion": API,
        "kind": "ResourceClaim",
        "metadata": metadata,
        "spec": {"devices": {"requests": requests}},
    }


def one_of(namespace: str, *classes: str) -> dict[str, Any]:
    """A claim for the first of several classes that has a free device."""
    made = claim(namespace)
    choices = [{"name": f"c{n}", "deviceClassName": name} for n, name in enumerate(classes)]
    made["spec"]["devices"]["requests"] = [{"name": "r", "firstAvailable": choices}]
    return made


def template(made: dict[str, Any]) -> dict[str, Any]:
    return made | {"kind": "ResourceClaimTemplate", "spec": {"spec": made["spec"]}}


@pytest.fixture(scope="module")
def server(installed: ApiServer) -> Iterator[ApiServer]:
    """With a labelled class and another one, and a namespace that has nothing to do with Berth."""
    metadata = {"name": ELSEWHERE, "labels": {"resource.kubernetes.io/admin-access": "true"}}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    for made in (space, device_class(LENT, **{"berth.dev/machines": ""}), device_class(OTHERS)):
        installed.kubectl("apply", "-f", "-", stdin=json.dumps(made))
    until(lambda: told(installed, "", claim(ELSEWHERE, LENT)) != "", "policy berth-device-claims is not in force")
    yield installed
    installed.kubectl("delete", "deviceclass", LENT, OTHERS)


def told(server: ApiServer, who: str, obj: dict[str, Any]) -> str:
    """Why the API server refuses an object to somebody, by a dry run; empty where it does not."""
    path = f"/apis/{obj['apiVersion']}/namespaces/{obj['metadata']['namespace']}/{obj['kind'].lower()}s"
    groups = ("system:masters",) if who else ()  # every right: what is refused, a policy refuses
    with asking(server) as ask:
        answer = ask(who, "POST", path, obj, groups=groups)
    return "" if answer.is_success else str(answer.json()["message"])


EVERYBODY = ("", "system:kube-scheduler", "system:serviceaccount:kube-system:resource-claim-controller")
"""The administrator, and makers of claims for extended resources and of templates."""


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.parametrize("namespace", [WORKSPACES, ELSEWHERE])
def test_nobody_but_the_operator_claims_a_device_of_a_labelled_class(
    server: ApiServer, who: str, namespace: str
) -> None:
    asked = [
        claim(namespace, LENT),
        claim(namespace, OTHERS, LENT),
        one_of(namespace, OTHERS, LENT),
        claim(namespace, LENT, allocationMode="All"),
        *([claim(namespace, LENT, adminAccess=True)] if namespace == ELSEWHERE else []),
    ]
    for obj in (*asked, *map(template, asked)):
        assert f"the devices of DeviceClass {LENT} are machines that Berth lends" in told(server, who, obj), obj
    for obj in (claim(namespace, OTHERS), template(claim(namespace, OTHERS)), one_of(namespace, OTHERS)):
        assert told(server, who, obj) == ""


def test_the_operator_claims_them_where_it_lends_machines_and_an_account_of_its_name_does_not(
    server: ApiServer,
) -> None:
    path = f"/apis/{API}/namespaces/{WORKSPACES}/resourceclaims"
    rule = {"apiGroups": ["resource.k8s.io"], "resources": ["resourceclaims"], "verbs": ["create"]}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "claims"}}
    applied(server, role | {"rules": [rule]})
    for namespace in (WORKSPACES, ELSEWHERE):
        introduce(server, NAMESAKE, "claims", namespace)
    introduce(server, OPERATOR, "claims", ELSEWHERE)
    with asking(server) as ask:
        assert ask(OPERATOR, "POST", path, claim(WORKSPACES, LENT)).status_code == 201
        for who, namespace in ((NAMESAKE, WORKSPACES), (NAMESAKE, ELSEWHERE), (OPERATOR, ELSEWHERE)):
            answer = ask(who, "POST", path.replace(WORKSPACES, namespace), claim(namespace, LENT))
            assert (answer.status_code, "machines that Berth lends" in answer.text) == (403, True), (who, namespace)


def test_a_claim_from_before_its_class_was_labelled_stays_and_can_go(server: ApiServer, person: MakePerson) -> None:
    before = claim(WORKSPACES, "soon.devices.test")
    editor = person("edit-claims", "edit")
    editor.create(before)
    late = device_class("soon.devices.test", **{"berth.dev/machines": "true"})
    server.kubectl("apply", "-f", "-", stdin=json.dumps(late))
    until(lambda: told(server, "", claim(WORKSPACES, "soon.devices.test")) != "", "the label was never noticed")
    editor.kubectl("annotate", "-n", WORKSPACES, f"resourceclaim/{before['metadata']['name']}", "a=b")
    editor.kubectl("delete", "-n", WORKSPACES, f"resourceclaim/{before['metadata']['name']}")
    server.kubectl("delete", "deviceclass", "soon.devices.test")


def test_claims_of_leases_are_berths_and_a_scheduler_allocates_them(server: ApiServer, person: MakePerson) -> None:
    editor = person("edit-claims", "edit")
    own = claim(WORKSPACES, OTHERS)
    own["metadata"] |= {"name": "i-01900000-0000-7000-8000-000000000001-e1-arm", "labels": MARKS}
    with pytest.raises(ClusterError, match="labels and annotations of Berth are its own"):
        editor.create(own)
    own["metadata"]["labels"] = {}
    with pytest.raises(ClusterError, match="is for what Berth makes"):
        editor.create(own)
    own["metadata"]["labels"] = MARKS
    path = f"/apis/{API}/namespaces/{WORKSPACES}/resourceclaims"
    one = f"{path}/{own['metadata']['name']}"
    with asking(server) as ask:
        assert ask(OPERATOR, "POST", path, own, dry=False).status_code == 201
        for change in ({"labels": {"berth.dev/instance": "y"}}, {"finalizers": ["example.org/kept"]}):
            assert ask(editor.name, "PATCH", one, {"metadata": change}).status_code == 403
        assert ask(editor.name, "DELETE", one).status_code == 403
        kept = {"metadata": {"finalizers": ["resource.kubernetes.io/delete-protection"]}}
        assert ask("system:kube-scheduler", "PATCH", one, kept, groups=("system:masters",)).status_code == 200
        assert ask(OPERATOR, "DELETE", one, dry=False).status_code == 200


def test_the_operator_reserves_a_device_by_the_rights_of_the_chart(server: ApiServer) -> None:
    own = claim(WORKSPACES, LENT)
    own["metadata"]["name"] = "i-01900000-0000-7000-8000-000000000002-e1-arm"
    path = f"/apis/{API}/namespaces/{WORKSPACES}/resourceclaims"
    one = f"{path}/{own['metadata']['name']}"
    result = {"request": "r0", "driver": "devices.test", "pool": "p", "device": "d"}
    allocation = {"allocation": {"devices": {"results": [result]}}}
    consumer = {"apiGroup": "berth.dev", "resource": "instances", "name": "ada", "uid": "u"}
    with asking(server) as ask:
        assert ask(OPERATOR, "POST", path, own, dry=False).status_code == 201
        ask("", "PATCH", f"{one}/status", {"status": allocation}, dry=False).raise_for_status()
        answer = ask(OPERATOR, "PATCH", f"{one}/status", {"status": {"reservedFor": [consumer]}}, dry=False)
        assert answer.status_code == 200, answer.text
        answer = ask(OPERATOR, "PATCH", f"{one}/status", {"status": {"reservedFor": None}}, dry=False)
        assert answer.status_code == 200, answer.text
        assert ask(OPERATOR, "DELETE", one, dry=False).status_code == 200


def test_the_policy_is_rendered_once_for_all_releases(helm: Helm) -> None:
    policies = [obj for obj in helm.render() if obj["metadata"]["name"] == "berth-device-claims"]
    assert [obj["kind"] for obj in policies] == ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"]
    others = helm.render("--set=clusterResources.create=false")
    assert "berth-device-claims" not in [obj["metadata"]["name"] for obj in others]
