"""The disruption budget of each workspace namespace: no pod of a lease is evicted, nor one that is kept warm."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from berth_core import names
from berth_core.kube.types import Object
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.asking import Asking, asking

from .conftest import WORKSPACES, Helm, introduce, until

PODS: Final = f"/api/v1/namespaces/{WORKSPACES}/pods"
BUDGET: Final = f"/apis/policy/v1/namespaces/{WORKSPACES}/poddisruptionbudgets/{names.LEASES_BUDGET}"
LEASE: Final = names.lease_labels("5b3f1a57-0a53-4c39-9d8e-8c1f6d2b7e10", 3, "one")
WARM: Final = {names.WARM_LABEL: "true", **names.epoch_labels(4, "two")}
LABELS: Final = {
    "held": LEASE,
    "starting": LEASE,
    "warm": WARM,
    "hook": LEASE | {names.HOOK_LABEL: "reset"},
    "build": names.build_labels("5b3f1a57-0a53-4c39-9d8e-8c1f6d2b7e11", 1),
}
"""Labels of pods that run, by name; "starting" is not ready."""


@pytest.fixture(scope="module")
def ask(installed: ApiServer) -> Iterator[Asking]:
    """Pods that run, counted by the disruption controller, and somebody who may do all but what needs Berth's verbs."""
    introduce(installed, "drainer", "edit")
    with asking(installed) as made:
        for name, labels in LABELS.items():
            containers = [{"name": "workspace", "image": "example.test/none:1"}]
            pod = {"metadata": {"name": name, "labels": labels}, "spec": {"containers": containers}}
            made("", "POST", PODS, {"apiVersion": "v1", "kind": "Pod"} | pod, dry=False).raise_for_status()
            ready = {"type": "Ready", "status": "False" if name == "starting" else "True"}
            status: Object = {"status": {"phase": "Running", "conditions": [ready]}}
            made("", "PATCH", f"{PODS}/{name}/status", status, dry=False).raise_for_status()
        until(lambda: _healthy(made) == (3, 4), "the disruption controller never counted the pods")
        yield made
        for name in LABELS:
            made("", "DELETE", f"{PODS}/{name}?gracePeriodSeconds=0", dry=False)


def _healthy(ask: Asking) -> tuple[int, int]:
    """Pods that the budget counts as healthy, and those that it chooses."""
    status = ask("", "GET", BUDGET).json()["status"]
    return status["currentHealthy"], status["expectedPods"]


def evict(ask: Asking, pod: str) -> tuple[int, str]:
    eviction: Object = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
    answer = ask("", "POST", f"{PODS}/{pod}/eviction", eviction)
    return answer.status_code, answer.text


@pytest.mark.parametrize("pod", ["held", "warm", "hook", "starting"])
def test_a_running_pod_of_a_lease_and_a_warm_one_are_not_evicted(ask: Asking, pod: str) -> None:
    code, said = evict(ask, pod)
    assert (code, "disruption budget" in said) == (429, True), said


def test_a_pod_of_a_build_is_evicted(ask: Asking) -> None:
    assert evict(ask, "build")[0] == 201


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("PATCH", {"spec": {"minAvailable": 0}}),
        ("PATCH", {"spec": {"selector": {"matchLabels": {"nobody": "x"}}}}),
        ("PATCH", {"metadata": {"labels": {"berth.dev/budget": None}}}),
        ("DELETE", None),
    ],
)
def test_nobody_without_the_verb_claim_takes_it_away(ask: Asking, method: str, body: Any) -> None:
    answer = ask("drainer", method, BUDGET, body)
    assert (answer.status_code, "ValidatingAdmissionPolicy 'berth-belongings'" in answer.text) == (403, True)
    assert ask("", method, BUDGET, body).is_success, "the administrator may"


def test_each_workspace_namespace_has_one(helm: Helm) -> None:
    objects = helm.render("--set=namespaces.workspaces={lab-a,lab-b}", "--set=podDisruptionBudgets.enabled=false")
    budgets = [obj for obj in objects if obj["kind"] == "PodDisruptionBudget"]
    assert {obj["metadata"]["namespace"]: obj["metadata"]["name"] for obj in budgets} == dict.fromkeys(
        ("lab-a", "lab-b"), names.LEASES_BUDGET
    )
    (selector,) = {json.dumps(obj["spec"]["selector"]) for obj in budgets}
    assert json.loads(selector) == {"matchExpressions": [{"key": names.EPOCH_LABEL, "operator": "Exists"}]}
