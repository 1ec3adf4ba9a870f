"""Objects older than the policies go on, though they would be refused if they were made now."""

from collections.abc import Iterator
from typing import Any

import pytest

from berth_core.kube.types import Object
from berth_core.names import API_VERSION, FENCE_FINALIZER
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.asking import Asking, asking

from . import matrix, matrix_kubernetes
from .conftest import NAMESPACE, WORKSPACES, introduce

ID = "01900000-0000-7000-8000-0000000000e5"
ALICE, ADMIN = "old-alice", "old-admin"
OPERATOR, API = (f"system:serviceaccount:{NAMESPACE}:berth-{name}" for name in ("operator", "api"))
KUBELET, NODES = "system:node:old-node", ("system:nodes", "system:authenticated")
COLLECTOR = "system:serviceaccount:kube-system:generic-garbage-collector"
MARKS = {"labels": {"berth.dev/build": ID}, "annotations": {"berth.dev/queued": "x"}}
INSTANCE = f"b-{ID}-1"
ELEVATED = {"image": "example/workspace", "nodeSelector": {"old": "a"}, "tolerations": [{"operator": "Exists"}]}


def old(owner: str) -> Iterator[tuple[str, Object]]:
    """Objects that people without a verb of ours cannot make any more; a Build with the uid ``owner`` has some."""
    spec = {"user": ALICE}
    owned = [{"apiVersion": API_VERSION, "kind": "Build", "name": "owner", "uid": owner}]
    marked: dict[str, Any] = MARKS | {"ownerReferences": owned}
    yield "instances", matrix.manifest("instances", spec, name=INSTANCE, **marked)
    yield "reservations", matrix.manifest("reservations", spec | {"instance": matrix.INSTANCE | spec}, name=ID)
    yield "builds", matrix.manifest("builds", spec, name=ID, **marked)
    yield "projects", matrix.manifest("projects", spec | {"name": "old"}, name="p-" + "b" * 40)
    added = {"type": "old", "overrides": {"nodeSelector": {"old": "b"}}}
    # Before its type, with whose template it is in conflict.
    yield "workspacedeployments", matrix.manifest("workspacedeployments", added, name="old", **marked)
    yield "workspacetypes", matrix.manifest("workspacetypes", {"typeName": "old", "template": ELEVATED}, name="old")


@pytest.fixture(scope="module")
def ask(installed: ApiServer) -> Iterator[Asking]:
    """The objects, made by an administrator of the cluster, who has every verb."""
    introduce(installed, ALICE, "berth-user")
    introduce(installed, ADMIN, "berth-admin")
    with asking(installed) as made:
        owner = made("", "POST", matrix.collection("builds"), matrix.manifest("builds", name="owner"), dry=False)
        objects = list(old(owner.json()["metadata"]["uid"]))
        for plural, obj in objects:
            answer = made("", "POST", matrix.collection(plural), obj, dry=False)
            assert answer.status_code == 201, answer.text
        yield made
        for plural, obj in objects:
            one = f"{matrix.collection(plural)}/{obj['metadata']['name']}"
            made("", "PATCH", one, {"metadata": {"finalizers": None}}, dry=False)
            made("", "DELETE", one, dry=False)
        made("", "DELETE", f"{matrix.collection('builds')}/owner", dry=False)


def one(plural: str, name: str, rest: str = "") -> str:
    return f"{matrix.collection(plural)}/{name}{rest}"


FENCED = {"metadata": {"finalizers": [FENCE_FINALIZER]}}
FREED: dict[str, Any] = {"metadata": {"finalizers": None}}
TOLD = {"status": {"conditions": [matrix.ILL | {"type": "Bound"}]}}
LEASED = {"status": {"lease": matrix.LEASE, "epoch": 1}}
BACK: dict[str, Any] = {"status": {"lease": None}}
WRITES = [
    (OPERATOR, one("instances", INSTANCE), FENCED),
    (OPERATOR, one("instances", INSTANCE, "/status"), TOLD),
    (ALICE, one("instances", INSTANCE), {"metadata": {"labels": {"mine": "x"}}}),
    (API, one("instances", INSTANCE), {"spec": {"terminate": True}}),
    (COLLECTOR, one("instances", INSTANCE), {"metadata": {"ownerReferences": None}}),
    (OPERATOR, one("instances", INSTANCE), FREED),
    (OPERATOR, one("reservations", ID, "/status"), TOLD),
    (ALICE, one("reservations", ID), {"metadata": {"labels": {"mine": "x"}}}),
    (OPERATOR, one("builds", ID, "/status"), TOLD),
    (ALICE, one("builds", ID), {"spec": {"cancel": 1}}),
    (ALICE, one("projects", "p-" + "b" * 40), {"metadata": {"labels": {"mine": "x"}}}),
    (ADMIN, one("workspacetypes", "old"), {"spec": {"description": "words"}}),
    (OPERATOR, one("workspacetypes", "old", "/status"), TOLD),
    (OPERATOR, one("workspacedeployments", "old"), FENCED),
    (OPERATOR, one("workspacedeployments", "old", "/status"), {"status": {"observedGeneration": 1}}),
    (API, one("workspacedeployments", "old", "/status"), LEASED),
    (ADMIN, one("workspacedeployments", "old"), {"spec": {"lockout": True}}),
    (API, one("workspacedeployments", "old"), {"spec": {"lockout": False}}),
    (OPERATOR, one("workspacedeployments", "old", "/status"), BACK),
    (OPERATOR, one("workspacedeployments", "old"), FREED),
    (ADMIN, one("workspacedeployments", "old"), {"spec": {"overrides": {"nodeSelector": None}}}),
]
"""In their order, with effect."""


def test_what_exists_is_written_as_ever(ask: Asking) -> None:
    for who, path, body in WRITES:
        answer = ask(who, "PATCH", path, body, dry=False)
        assert answer.status_code == 200, f"{who} {path}: {answer.text}"


def test_a_pod_that_exists_is_watched_over_by_kubelets_and_ended(ask: Asking) -> None:
    pods = f"/api/v1/namespaces/{WORKSPACES}/pods"
    metadata = {"name": "old", "labels": {"berth.dev/instance": "i"}, "finalizers": [FENCE_FINALIZER]}
    spec = matrix_kubernetes.POD | {"nodeName": "old-node"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    assert ask("", "POST", pods, pod, dry=False).status_code == 201
    answer = ask(KUBELET, "PATCH", f"{pods}/old/status", {"status": {"phase": "Running"}}, dry=False, groups=NODES)
    assert answer.status_code == 200, answer.text
    assert ask(COLLECTOR, "DELETE", f"{pods}/old", dry=False).status_code == 200
    answer = ask(KUBELET, "PATCH", f"{pods}/old/status", {"status": {"phase": "Succeeded"}}, dry=False, groups=NODES)
    assert answer.status_code == 200, answer.text
    now = {"gracePeriodSeconds": 0, "kind": "DeleteOptions", "apiVersion": "v1"}
    assert ask(KUBELET, "DELETE", f"{pods}/old", now, dry=False, groups=NODES).status_code == 200
    assert ask(OPERATOR, "PATCH", f"{pods}/old", FREED, dry=False).status_code == 200
