"""Bounds that Kubernetes holds by the chart's values: what a namespace may hold, and shares of the API server."""

import json
from typing import Any

import pytest
from amount import but_first

from berth_api.http.errors import FullError
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.asking import asking
from berth_operator.quotas.users import manifest

from .conftest import NAMESPACE, WORKSPACES, Helm, until

PODS = f"/api/v1/namespaces/{WORKSPACES}/pods"
INSTANCES = f"/apis/berth.dev/v1alpha1/namespaces/{WORKSPACES}/instances"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:berth-operator"


@pytest.mark.parametrize("process", but_first("operator", "api", "notifier"))
def test_each_process_has_a_share_of_the_api_server_of_its_own(installed: ApiServer, process: str) -> None:
    with asking(installed) as ask:

        def has_it() -> bool:
            listed = ask("", "GET", "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas").json()["items"]
            named = {schema["metadata"]["uid"]: schema["metadata"]["name"] for schema in listed}
            answer = ask(f"system:serviceaccount:{NAMESPACE}:berth-{process}", "GET", "/api")
            return named.get(answer.headers["X-Kubernetes-PF-FlowSchema-UID"]) == f"berth-{NAMESPACE}-{process}"

        until(has_it, f"the requests of {process} never got a level of their own")


def test_a_namespace_holds_so_much_and_no_more(installed: ApiServer) -> None:
    def used() -> dict[str, str]:
        told = json.loads(installed.kubectl("get", "resourcequota", "berth", "-n", WORKSPACES, "-o", "json"))
        assert told["spec"]["hard"] == {"configmaps": "20k", "persistentvolumeclaims": "1k"}
        return dict(told["status"].get("used") or {})

    until(lambda: {"configmaps", "persistentvolumeclaims"} <= used().keys(), "the quota was never counted")


def test_whoever_has_as_many_as_one_may_makes_no_more(installed: ApiServer) -> None:
    api, odd = f"system:serviceaccount:{NAMESPACE}:berth-api", "two\nlines"

    def refusal(user: str, account: str = api, **metadata: Any) -> str:
        """Why an Instance of a user is refused; empty where it is not."""
        spec = {"user": user, "workspaceType": "bench"}
        body = {"apiVersion": "berth.dev/v1alpha1", "kind": "Instance", "metadata": {"name": "i"} | metadata}
        with asking(installed) as ask:
            answer = ask(account, "POST", f"{INSTANCES}?dryRun=All", body | {"spec": spec})
            return "" if answer.is_success else str(answer.json()["message"])

    def written(*full: str) -> None:
        obj = manifest(WORKSPACES, {"instances": full})
        installed.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(obj))

    written("ada", odd)
    until(lambda: "ada has as many instances as one may" in refusal("ada"), "she makes more")
    told = FullError.of(refusal("ada"))
    assert told is not None
    assert told.message.startswith("ada has as many instances as one may: end or delete some")
    assert refusal(odd)
    assert [refusal(other) for other in ("ad", "lines", "ada\n", "reservations")] == [""] * 4
    assert refusal("ada", OPERATOR) == "", "turns of those who wait are the operator's to take"
    assert refusal("ada", labels={"berth.dev/never-made": "true"}) == ""
    written("ada")
    until(lambda: refusal(odd) == "", "a user with fewer is refused still")
    installed.kubectl("delete", "resourcequota", "berth-allowances", "-n", WORKSPACES)
    until(lambda: refusal("ada") == "", "she is refused still")


@pytest.mark.parametrize("resources", [{}, {"requests": {"cpu": "4", "memory": "8Gi"}}])
def test_a_container_that_wants_no_limit_has_none(installed: ApiServer, resources: dict[str, dict[str, str]]) -> None:
    container = {"name": "c", "image": "c", "resources": resources}
    body = {"metadata": {"name": "bounds"}, "spec": {"containers": [container]}}
    with asking(installed) as ask:
        until(lambda: ask("", "GET", f"/api/v1/namespaces/{WORKSPACES}/limitranges/berth").is_success, "no LimitRange")
        answer = ask(OPERATOR, "POST", PODS, body)
        assert answer.is_success, answer.text
    made = answer.json()["spec"]["containers"][0]["resources"]
    assert "limits" not in made
    assert made["requests"] == resources.get("requests", {"cpu": "10m", "memory": "16Mi"})


def test_bounds_are_left_out_by_value(helm: Helm) -> None:
    kinds = {obj["kind"] for obj in helm.render()}
    assert {"ResourceQuota", "LimitRange", "FlowSchema", "PriorityLevelConfiguration"} <= kinds
    without = ("bounds.quota=null", "bounds.limits=null", "bounds.apiServerShares=null")
    kinds = {obj["kind"] for obj in helm.render(*(f"--set={value}" for value in without))}
    assert not {"ResourceQuota", "LimitRange", "FlowSchema", "PriorityLevelConfiguration"} & kinds
