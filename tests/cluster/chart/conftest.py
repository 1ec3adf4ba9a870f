"""An API server of the chart's own, with Berth installed by helm: all but the pods, which have no nodes here."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from berth_cluster import apiserver as tiers
from berth_cluster.apiserver import ApiServer
from berth_cluster.commands import run
from berth_cluster.components import HELM, build
from berth_cluster.errors import ClusterError
from berth_cluster.paths import REPOSITORY

from .asking import asking

CHART = REPOSITORY / "charts" / "berth"
RELEASE = "berth"
NAMESPACE = "berth"
WORKSPACES = "berth-workspaces"
ACCESS = "berth-access"
AGGREGATED = "--set=clusterResources.aggregateRoles=true"
PRIVILEGED = {"privileged": True}
TOLD = {"commitStatus": {"statusURL": "https://hub.test/{sha}", "provider": "github", "secret": "hub-token"}}


@dataclass(frozen=True)
class Helm:
    """helm against an API server."""

    program: Path
    server: ApiServer

    def __call__(self, *words: str | Path) -> str:
        """Run it and return its standard output; ClusterError with what it said where it fails."""
        return run([self.program, f"--kubeconfig={self.server.kubeconfig}", *words], timeout=120).stdout

    def install(self, *words: str) -> str:
        """Install or upgrade the release without its Jobs, which need nodes; the cluster's own roles have ours too."""
        options = ["-n", NAMESPACE, "--create-namespace", "--no-hooks", AGGREGATED, *words]
        return self("upgrade", "--install", RELEASE, CHART, *options)

    def render(self, *words: str) -> list[dict[str, Any]]:
        """Render the chart with the Jobs; the Job before upgrades is there where its namespaces are."""
        text = self("template", RELEASE, CHART, "-n", NAMESPACE, "--dry-run=server", "--is-upgrade", *words)
        return [obj for obj in yaml.safe_load_all(text) if obj]


@pytest.fixture(scope="session")
def chart_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """etcd, kube-apiserver and kube-controller-manager without anything of ours."""
    with tiers.running(tmp_path_factory.mktemp("chart"), controllers=True) as server:
        yield server


@pytest.fixture(scope="session")
def helm(chart_server: ApiServer) -> Helm:
    return Helm(build((HELM,)).path("helm"), chart_server)


@pytest.fixture(scope="session")
def installed(helm: Helm) -> ApiServer:
    """The API server with the chart installed, and its policies in force."""
    helm.install()
    server = helm.server
    server.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    server.kubectl("get", "wt,wd,inst,rsv,fwr", "-A")
    policies_hold(server)
    return server


@dataclass(frozen=True)
class Person:
    """Somebody who uses kubectl."""

    server: ApiServer
    name: str

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """Run kubectl as this person; ClusterError with what it said where it fails."""
        return self.server.kubectl(f"--as={self.name}", *words, stdin=stdin)

    def rights(self, namespace: str) -> dict[str, set[str]]:
        """Verbs that this person has in a namespace, by resource."""
        printed = self.kubectl("auth", "can-i", "--list", "--no-headers", "-n", namespace)
        found: dict[str, set[str]] = {}
        for line in printed.splitlines():
            resource, _, verbs = line.partition(" ")
            found.setdefault(resource, set()).update(verbs.rpartition("[")[2].strip("] ").split())
        return found

    def apply(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Apply one object; returns it as the API server has it."""
        printed = self.kubectl("apply", "-n", WORKSPACES, "-o", "json", "-f", "-", stdin=json.dumps(obj))
        made: dict[str, Any] = json.loads(printed)
        return made

    def patch(self, what: str, change: dict[str, Any]) -> str:
        """Merge-patch an object."""
        return self.kubectl("patch", what, "-n", WORKSPACES, "--type=merge", "-p", json.dumps(change))


MakePerson = Callable[..., Person]


@pytest.fixture
def person(installed: ApiServer) -> MakePerson:
    """`person("alice", "berth-user")`: somebody with that ClusterRole in the workspace namespace."""
    return lambda name, role: introduce(installed, name, role)


def introduce(server: ApiServer, name: str, role: str, namespace: str = WORKSPACES) -> Person:
    """Give somebody a ClusterRole in a namespace, the workspace namespace unless told otherwise.

    Returns once the API server knows of it.
    """
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"{name}-{role}", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name}],
    }
    server.kubectl("apply", "-f", "-", stdin=json.dumps(binding))
    somebody = Person(server, name)
    until_granted(somebody, f"clusterrole/{role}", namespace)
    return somebody


def until_granted(somebody: Person, role: str, namespace: str = WORKSPACES) -> None:
    """Wait until the API server knows that somebody has a role: it hears of what is bound some time after that."""
    api = "authorization.k8s.io/v1"
    review = json.dumps({"apiVersion": api, "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}})

    def is_granted() -> bool:
        rules = json.loads(somebody.server.kubectl("get", role, "-n", namespace, "-o", "json"))["rules"]
        seen = json.loads(somebody.kubectl("create", "--validate=false", "-o", "json", "-f", "-", stdin=review))
        return bool(rules) and all(rule in seen["status"]["resourceRules"] for rule in rules)

    until(is_granted, f"{somebody.name} was never given {role}")


def policies_hold(server: ApiServer) -> None:
    """Wait until the API server enforces the policies, which it notices some time after they were made.

    And until the controllers have added our roles to the cluster's own.
    """
    for name, kind in (("edit", "projects"), ("admin", "accessrules")):
        somebody = introduce(server, f"probe-{name}", name)
        until(partial(_may_create, somebody, f"{kind}.berth.dev"), f"{name} never had our rights too")
    user, admin = introduce(server, "probe-user", "berth-user"), introduce(server, "probe-admin", "berth-admin")
    inner = {"user": "b", "workspaceType": "t"}
    long = inner | {"user": "probe-user", "sshKeys": ["x" * 16_384, "y"]}
    probes = [
        (user, "berth-instances", "Instance", {"user": "another", "workspaceType": "t"}),
        (user, "berth-reservations", "Reservation", {"user": "a", "workspaceType": "t", "instance": inner}),
        (admin, "berth-workspacetypes", "WorkspaceType", {"typeName": "t", "template": {"image": "i"} | PRIVILEGED}),
        (user, "berth-names", "Instance", {"user": "probe-user", "workspaceType": "t"}),
        (user, "berth-sizes", "Reservation", {"user": "probe-user", "workspaceType": "t", "instance": long}),
        (user, "berth-statuses", "Project", {"name": "p", "user": "probe-user", "repoURL": "https://x.test/a"} | TOLD),
    ]
    metadata: dict[str, Any] = {"name": "probe", "namespace": WORKSPACES}
    for probe, policy, kind, spec in probes:
        named = metadata | ({"name": "x" * 64} if policy == "berth-names" else {})
        obj: dict[str, Any] = {"apiVersion": "berth.dev/v1alpha1", "kind": kind, "metadata": named, "spec": spec}
        _until_refused(probe, policy, ["create", "--dry-run=server", "-f", "-"], json.dumps(obj))
    reserved: dict[str, Any] = {"name": "b-01900000-0000-7000-8000-000000000001", "namespace": WORKSPACES}
    own: dict[str, Any] = {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "Instance",
        "spec": inner | {"user": "probe-user"},
    }
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [{"name": "c", "image": "c"}]},
    }
    editor = Person(server, "probe-edit")
    for probe, policy, obj in (
        (user, "berth-marks", own | {"metadata": reserved}),
        (editor, "berth-workloads", pod),
        (editor, "berth-belongings", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": reserved}),
    ):
        _until_refused(probe, policy, ["create", "--dry-run=server", "-f", "-"], json.dumps(obj))
    deployment = {"apiVersion": "berth.dev/v1alpha1", "kind": "WorkspaceDeployment", "metadata": metadata}
    server.kubectl("apply", "-f", "-", stdin=json.dumps(deployment | {"spec": {"type": "misty"}}))
    api = Person(server, f"system:serviceaccount:{NAMESPACE}:berth-api")
    change = [
        "patch",
        "wd/probe",
        "-n",
        WORKSPACES,
        "--type=merge",
        "-p",
        '{"spec":{"region":"x"}}',
        "--dry-run=server",
    ]
    _until_refused(api, "berth-lockout", change)
    with asking(server) as ask:  # kubectl reads a status before it changes it, which the API process has no right to
        status = f"/apis/berth.dev/v1alpha1/namespaces/{WORKSPACES}/workspacedeployments/probe/status"
        epoch = {"status": {"epoch": 1}}
        until(
            lambda: "berth-leases" in ask(api.name, "PATCH", status, epoch).text, "policy berth-leases is not in force"
        )
    writer = status_writer(server, "probe-writer")
    server.kubectl(*raise_epoch("probe", 1))
    _until_refused(writer, "berth-epochs", [*raise_epoch("probe", 2), "--dry-run=server"])
    operator = Person(server, f"system:serviceaccount:{NAMESPACE}:berth-operator")
    _until_refused(operator, "berth-deployments", change)


def status_writer(server: ApiServer, name: str, *verbs: str) -> Person:
    """Somebody who may write the status of deployments, as Berth's processes may, with these verbs beside."""
    rules = [
        {"apiGroups": ["berth.dev"], "resources": ["workspacedeployments/status"], "verbs": ["get", "patch"]},
        {"apiGroups": ["berth.dev"], "resources": ["workspacedeployments"], "verbs": ["get", *verbs]},
    ]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}}
    server.kubectl("apply", "-f", "-", stdin=json.dumps(role | {"rules": rules}))
    return introduce(server, name, name)


def raise_epoch(name: str, epoch: int) -> list[str]:
    """Words of kubectl that write an epoch."""
    change = json.dumps({"status": {"epoch": epoch}})
    return ["patch", f"wd/{name}", "-n", WORKSPACES, "--subresource=status", "--type=merge", "-p", change]


def _may_create(somebody: Person, resource: str) -> bool:
    return "create" in somebody.rights(WORKSPACES).get(resource, ())


def until(holds: Callable[[], bool], complaint: str) -> None:
    """Wait until something holds; AssertionError with the complaint where it never does."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, complaint


def _until_refused(probe: Person, policy: str, words: list[str], obj: str | None = None, attempts: int = 200) -> None:
    for _ in range(attempts):
        try:
            probe.kubectl(*words, stdin=obj)
        except ClusterError as refused:
            if policy in str(refused):
                return
    raise AssertionError(f"policy {policy} is not in force")
