"""Values make demands of pods and types, held by the API server; the pods are those that the operator makes."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from berth_core.resources import Build, Instance, Project, WorkspaceDeployment, WorkspaceType
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.errors import ClusterError
from berth_operator.builds.manifests.jobs import BuildParts, fetch_job
from berth_operator.enforcement.manifests import probe_pod
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.manifests.pod import pod
from berth_operator.settings.builds import CiSettings
from berth_operator.settings.config import Config
from berth_operator.settings.confinement import Confinement
from berth_operator.settings.runtimes import UserNamespaces

from .conftest import ACCESS, NAMESPACE, WORKSPACES, Helm, MakePerson, introduce, until

OPERATOR = f"--as=system:serviceaccount:{NAMESPACE}:berth-operator"
CONFIG = Config(NAMESPACE, (WORKSPACES,), ACCESS, "berth:1", "operator-0")
META = {"namespace": WORKSPACES, "uid": "0190a0b0-0000-7000-8000-000000000001"}
VALUES = "--set=instances.runtimeClass=gvisor,instances.allowedRuntimeClasses={kata},ci.runtimeClass=kata"
LAB = {"type": "Localhost", "localhostProfile": "lab"}


def wtype(runtime_class: str | None = None, name: str = "bench") -> dict[str, Any]:
    template = {"image": "workspace:1"} | ({"runtimeClassName": runtime_class} if runtime_class else {})
    spec = {"typeName": "bench", "template": template}
    return {"apiVersion": "berth.dev/v1alpha1", "kind": "WorkspaceType", "metadata": {"name": name}, "spec": spec}


def lease_pod(config: Config, runtime_class: str | None = None) -> dict[str, Any]:
    """The pod of a lease, without what names its Instance, which is not there."""
    instance = Instance.parse({"metadata": META | {"name": "one"}, "spec": {"user": "ada", "workspaceType": "bench"}})
    machine = WorkspaceDeployment.parse({"metadata": META | {"name": "arm"}, "spec": {"type": "bench"}})
    type_ = WorkspaceType.parse(wtype(runtime_class) | {"metadata": META | {"name": "bench"}})
    return without_owner(pod(LeaseParts(instance, machine, type_, 1), config))


def build_pod(settings: CiSettings, *, user_namespace: bool = False) -> dict[str, Any]:
    """The pod of a build's first Job, as the Job controller would make it."""
    build = Build.parse({"metadata": META | {"name": "b"}, "spec": {"project": "p", "user": "ada", "branch": "main"}})
    spec = {"name": "arm", "user": "ada", "repoURL": "https://git.example.org/arm.git"}
    project = Project.parse({"metadata": META | {"name": "p"}, "spec": spec})
    template = fetch_job(BuildParts(build, project, settings, user_namespace=user_namespace))["spec"]["template"]
    metadata = template["metadata"] | {"name": "b-1-fetch", "namespace": WORKSPACES}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def without_owner(made: dict[str, Any]) -> dict[str, Any]:
    return made | {"metadata": {k: v for k, v in made["metadata"].items() if k != "ownerReferences"}}


def refusal(server: ApiServer, *words: str, obj: dict[str, Any]) -> str:
    """Why an object may not be made; empty where it may. Nothing is made."""
    try:
        server.kubectl(*words, "create", "--dry-run=server", "-n", WORKSPACES, "-f", "-", stdin=json.dumps(obj))
    except ClusterError as error:
        return str(error)
    return ""


def test_profiles_are_taken_as_they_are_rendered(installed: ApiServer) -> None:
    config = replace(CONFIG, confinement=Confinement("", LAB, LAB))
    made = lease_pod(config)
    assert refusal(installed, OPERATOR, obj=made) == ""
    assert refusal(installed, obj=build_pod(CiSettings("ci:1", confinement=config.confinement))) == ""
    for field in ("seccompProfile", "appArmorProfile"):
        broken = lease_pod(replace(CONFIG, confinement=Confinement("", LAB, LAB)))
        broken["spec"]["containers"][0]["securityContext"][field] = {"type": "Localhost"}
        assert f"{field}.localhostProfile: Required value" in refusal(installed, obj=broken), "the API server checks it"


def test_pods_with_user_namespaces_are_taken(installed: ApiServer) -> None:
    assert refusal(installed, OPERATOR, obj=lease_pod(replace(CONFIG, user_namespaces=UserNamespaces.ALWAYS))) == ""
    assert refusal(installed, obj=build_pod(CiSettings("ci:1"), user_namespace=True)) == ""


@pytest.mark.parametrize("value", ["true", "false", "auto"])
def test_a_value_of_before_is_taken_still(helm: Helm, value: str) -> None:
    (operator,) = (obj for obj in helm.render(f"--set=instances.userNamespaces={value}") if is_operator(obj))
    environment = operator["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "BERTH_USER_NAMESPACES", "value": value} in environment


def is_operator(obj: dict[str, Any]) -> bool:
    return (obj["kind"], obj["metadata"]["name"]) == ("Deployment", "berth-operator")


@pytest.fixture(scope="module")
def demanding(installed: ApiServer, helm: Helm) -> Iterator[ApiServer]:
    """The chart with demands on runtimes, until the end of this module."""
    for name in ("gvisor", "kata", "other"):
        runtime = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": name}
        installed.kubectl("apply", "-f", "-", stdin=json.dumps(runtime))
    installed.kubectl("wait", "--for=create", "serviceaccount/default", "-n", WORKSPACES, "--timeout=30s")
    assert refusal(installed, OPERATOR, obj=lease_pod(CONFIG)) == ""
    installed.kubectl("create", "-n", WORKSPACES, "-f", "-", stdin=json.dumps(wtype("other", "before")))
    helm.install(VALUES)
    until(lambda: all(refusal(installed, obj=o) for o in (lease_pod(CONFIG), wtype("other"))), "nothing is refused")
    admin = introduce(installed, "lab-admin", "berth-admin")
    until(
        lambda: not refusal(installed, f"--as={admin.name}", obj=wtype("kata")), "an allowed class needs elevate still"
    )
    yield installed
    installed.kubectl("delete", "wt", "before", "-n", WORKSPACES)
    helm.install()
    until(lambda: not refusal(installed, obj=lease_pod(CONFIG)), "it is refused still")


def test_a_pod_without_the_runtime_class_that_a_value_demands_is_refused(demanding: ApiServer) -> None:
    """Whatever the operator's settings say: here they are those of a chart that demands nothing."""
    told = refusal(demanding, OPERATOR, obj=lease_pod(CONFIG))
    assert "spec.runtimeClassName must be one of gvisor, kata" in told
    assert "must be one of gvisor, kata" in refusal(demanding, OPERATOR, obj=lease_pod(CONFIG, "other"))
    assert "must be one of gvisor, kata" in refusal(demanding, OPERATOR, obj=probe_pod("p", WORKSPACES, CONFIG))
    assert "pods of builds need the RuntimeClass kata" in refusal(demanding, obj=build_pod(CiSettings("ci:1")))
    gvisor = CiSettings("ci:1", confinement=Confinement("gvisor"))
    assert "pods of builds need the RuntimeClass kata" in refusal(demanding, obj=build_pod(gvisor))


def test_the_pods_that_the_operator_makes_by_these_values_are_taken(demanding: ApiServer) -> None:
    config = replace(CONFIG, confinement=Confinement("gvisor"))
    assert refusal(demanding, OPERATOR, obj=lease_pod(config)) == ""
    assert refusal(demanding, OPERATOR, obj=lease_pod(config, "kata")) == ""
    assert refusal(demanding, OPERATOR, obj=probe_pod("p", WORKSPACES, config)) == ""
    assert refusal(demanding, obj=build_pod(CiSettings("ci:1", confinement=Confinement("kata")))) == ""


def test_pods_elsewhere_are_none_of_this_releases_business(demanding: ApiServer) -> None:
    elsewhere = lease_pod(CONFIG)
    elsewhere["metadata"]["namespace"] = "default"
    demanding.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(elsewhere))


def test_a_type_names_only_runtime_classes_that_the_values_allow(demanding: ApiServer, person: MakePerson) -> None:
    admin = person("lab-admin", "berth-admin")
    for fine in (None, "gvisor", "kata"):
        admin.apply(wtype(fine))
    # Two policies refuse it, and the API server says one's words.
    with pytest.raises(ClusterError, match=r"needs the verb elevate|must be one of gvisor, kata"):
        admin.apply(wtype("other"))
    # Nor does whoever has the verb: here the administrator of the cluster.
    assert "runtimeClassName must be one of gvisor, kata: ask for another one" in refusal(demanding, obj=wtype("other"))
    demanding.kubectl("delete", "wt", "bench", "-n", WORKSPACES)


@pytest.mark.release(twin="tests/envtest/chart/test_isolation.py::test_a_value_of_before_is_taken_still")
def test_a_type_of_before_may_be_changed_but_for_what_it_names(demanding: ApiServer) -> None:
    change = ("patch", "wt", "before", "-n", WORKSPACES, "--type=merge", "-p")
    demanding.kubectl(*change, json.dumps({"spec": {"description": "an arm"}}))
    with pytest.raises(ClusterError, match="must be one of gvisor, kata"):
        demanding.kubectl(*change, json.dumps({"spec": {"template": {"runtimeClassName": "else"}}}))
