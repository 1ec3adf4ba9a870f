"""The Lease of a machine's heartbeat is for its own account, and for administrators."""

from collections.abc import Iterator

import pytest

from berth_core.kube.types import Object
from berth_core.names import HEARTBEAT_LABEL, INSTANCE_LABEL
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.asking import Asking, asking

from .conftest import NAMESPACE, WORKSPACES, applied, introduce, until

LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{WORKSPACES}/leases"
MARK = {HEARTBEAT_LABEL: "true"}
RBAC = "rbac.authorization.k8s.io"
API, OPERATOR = (f"system:serviceaccount:{NAMESPACE}:berth-{name}" for name in ("api", "operator"))
COLLECTOR = "system:serviceaccount:kube-system:generic-garbage-collector"
EDITOR, ADMIN, ARM, OTHER_ARM = "beat-editor", "beat-admin", "beat-arm", "beat-other"
PING = "i-01900000-0000-7000-8000-0000000000b1"


def lease(name: str, labels: Object) -> Object:
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": {}}


def machine_role(name: str) -> Object:
    """Rights of one machine's account, as docs/how-to/hooks.md gives them, and to make and delete the Lease besides."""
    of_leases: Object = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
    rules = [
        of_leases | {"verbs": ["create", "patch", "delete", "deletecollection"]},
        {"apiGroups": ["berth.dev"], "resources": ["workspacedeployments"], "resourceNames": [name], "verbs": ["beat"]},
    ]
    return {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}


@pytest.fixture(scope="module")
def ask(installed: ApiServer) -> Iterator[Asking]:
    """Make heartbeats of two machines, a Lease without the label and one of a ping; and wait for the policy."""
    for name in (ARM, OTHER_ARM):
        applied(installed, machine_role(name))
        introduce(installed, name, name)
    introduce(installed, EDITOR, "edit")
    introduce(installed, ADMIN, "admin")
    leases = [
        lease(ARM, MARK),
        lease(OTHER_ARM, MARK),
        lease("beat-plain", {}),
        lease(PING, {INSTANCE_LABEL: "x"} | MARK),
    ]
    with asking(installed) as made:
        for obj in leases:
            assert made("", "POST", LEASES, obj, dry=False).status_code == 201
        until(lambda: "berth-heartbeats" in renewed(made, EDITOR, ARM), "policy berth-heartbeats is not in force")
        yield made
        for obj in leases:
            made("", "DELETE", f"{LEASES}/{obj['metadata']['name']}", dry=False)


def renewed(ask: Asking, who: str, name: str) -> str:
    return ask(who, "PATCH", f"{LEASES}/{name}", {"spec": {"renewTime": "2026-12-04T00:00:00.000000Z"}}).text


def labelled(value: str | None) -> Object:
    return {"metadata": {"labels": {HEARTBEAT_LABEL: value}}}


WRITES = [
    ("POST", LEASES, lease("beat-new", MARK)),
    ("POST", LEASES, lease("beat-new", {HEARTBEAT_LABEL: ""})),
    ("PATCH", f"{LEASES}/{ARM}", {"spec": {"renewTime": "2026-12-04T00:00:00.000000Z"}}),
    ("PATCH", f"{LEASES}/{ARM}", labelled(None)),
    ("PATCH", f"{LEASES}/{ARM}", labelled("false")),
    ("PATCH", f"{LEASES}/{ARM}", {"metadata": {"finalizers": ["example.org/kept"]}}),
    ("PATCH", f"{LEASES}/beat-plain", labelled("true")),
    ("DELETE", f"{LEASES}/{ARM}", None),
    ("DELETE", f"{LEASES}?labelSelector={HEARTBEAT_LABEL}", None),
]


@pytest.mark.parametrize("who", [EDITOR, API, OTHER_ARM])
def test_nobody_else_writes_a_machine_s_heartbeat(ask: Asking, who: str) -> None:
    for method, path, body in WRITES:
        answer = ask(who, method, path, body)
        assert answer.status_code == 403, (method, path, answer.text)
        if who != API or method != "DELETE":  # which its role does not let it
            assert "ask for the verb beat on workspacedeployments/" in answer.text


def test_a_machine_s_account_writes_its_own_heartbeat_only(ask: Asking) -> None:
    for method, path, body in WRITES:
        answer = ask(ARM, method, path, body)
        assert answer.is_success == path.endswith(f"/{ARM}"), (method, path, answer.text)
    assert ask(ARM, "POST", LEASES, lease("beat-plain-too", {})).is_success
    assert f"ask for the verb beat on workspacedeployments/{OTHER_ARM} in {WORKSPACES}" in renewed(ask, ARM, OTHER_ARM)


def test_administrators_write_all_heartbeats(ask: Asking) -> None:
    for method, path, body in WRITES[:-1]:
        answer = ask(ADMIN, method, path, body)
        assert answer.is_success, (method, path, answer.text)


def test_the_operator_and_kubernetes_delete_what_they_must(ask: Asking) -> None:
    assert ask(OPERATOR, "DELETE", f"{LEASES}/{PING}").is_success
    assert ask(COLLECTOR, "DELETE", f"{LEASES}/{ARM}").is_success
