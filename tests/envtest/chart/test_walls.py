"""The standing NetworkPolicy of each workspace namespace: what no other one opens for a pod of Berth's is closed."""

from collections.abc import Iterator
from typing import Any

import pytest

from berth_core import names
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.asking import Asking, asking

from .conftest import WORKSPACES, Helm, introduce
from .test_disruption import LABELS

CLOSED = f"/apis/networking.k8s.io/v1/namespaces/{WORKSPACES}/networkpolicies/{names.CLOSED_POLICY}"


@pytest.fixture(scope="module")
def ask(installed: ApiServer) -> Iterator[Asking]:
    introduce(installed, "opener", "edit")
    with asking(installed) as made:
        yield made


@pytest.mark.parametrize("pod", LABELS)
def test_it_closes_every_pod_of_leases_hooks_and_builds(ask: Asking, pod: str) -> None:
    spec = ask("", "GET", CLOSED).json()["spec"]
    assert spec["podSelector"]["matchLabels"].items() <= LABELS[pod].items()
    assert (spec["policyTypes"], spec.get("ingress"), spec.get("egress")) == (["Ingress", "Egress"], None, None)


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("PATCH", {"spec": {"podSelector": {"matchLabels": {"nobody": "x"}}}}),
        ("PATCH", {"spec": {"egress": [{}]}}),
        ("PATCH", {"metadata": {"labels": {"berth.dev/wall": None}}}),
        ("DELETE", None),
    ],
)
def test_nobody_without_the_verb_claim_takes_it_away(ask: Asking, method: str, body: Any) -> None:
    answer = ask("opener", method, CLOSED, body)
    assert (answer.status_code, "ValidatingAdmissionPolicy 'berth-belongings'" in answer.text) == (403, True)
    assert ask("", method, CLOSED, body).is_success, "the administrator may"


def test_each_workspace_namespace_has_one(helm: Helm) -> None:
    objects = helm.render("--set=namespaces.workspaces={lab-a,lab-b}", "--set=networkPolicy.enabled=false")
    policies = [obj for obj in objects if obj["kind"] == "NetworkPolicy"]
    assert [(obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in policies] == [
        ("lab-a", names.CLOSED_POLICY),
        ("lab-b", names.CLOSED_POLICY),
    ]
