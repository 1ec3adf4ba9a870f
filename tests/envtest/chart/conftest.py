"""An API server of the chart's own, with Berth installed by helm: all but the pods, which have no nodes here."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from berth_core.resources import KINDS
from berth_dev.commands import run
from berth_dev.components import HELM, build
from berth_dev.envtest import apiserver as tiers
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.asking import APPLY, Asking, asking
from berth_dev.errors import ClusterError
from berth_dev.paths import REPOSITORY

CHART = REPOSITORY / "charts" / "berth"
RELEASE = "berth"
NAMESPACE = "berth"
WORKSPACES = "berth-workspaces"
ACCESS = "berth-access"
AGGREGATED = "--set=clusterResources.aggregateRoles=true"
PRIVILEGED = {"privileged": True}
PLURALS = {kind.KIND: kind.PLURAL for kind in KINDS}
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
        found: dict[str, set[str]] = {}
        with asking(self.server) as ask:
            for rule in _rules(ask, self.name, namespace):
                for group, resource in product(rule["apiGroups"], rule["resources"]):
                    found.setdefault(f"{resource}.{group}".rstrip("."), set()).update(rule["verbs"])
        return found

    def create(self, obj: dict[str, Any]) -> None:
        """Create one object; ClusterError with what the API server says where it refuses."""
        with asking(self.server) as ask:
            answer = ask(self.name, "POST", _collection(obj), obj, dry=False)
        if not answer.is_success:
            raise ClusterError(answer.json()["message"])

    def apply(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Apply one object; returns it as the API server has it."""
        printed = self.kubectl("apply", "-n", WORKSPACES, "-o", "json", "-f", "-", stdin=json.dumps(obj))
        made: dict[str, Any] = json.loads(printed)
        return made

    def patch(self, what: str, change: dict[str, Any], namespace: str = WORKSPACES) -> str:
        """Merge-patch an object."""
        return self.kubectl("patch", what, "-n", namespace, "--type=merge", "-p", json.dumps(change))


MakePerson = Callable[..., Person]


@pytest.fixture
def person(installed: ApiServer) -> MakePerson:
    """`person("alice", "berth-user")`: somebody with that ClusterRole in the workspace namespace."""
    return lambda name, role: introduce(installed, name, role)


def introduce(server: ApiServer, name: str, role: str, namespace: str = WORKSPACES) -> Person:
    """Give somebody a ClusterRole in a namespace, the workspace namespace unless told otherwise.

    Returns once the API server knows of it.
    """
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"{name}-{role}", "namespace": namespace},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "apiGroup": group, "name": name}],
    }
    applied(server, binding)
    until_granted(server, name, f"clusterroles/{role}", namespace)
    return Person(server, name)


def applied(server: ApiServer, obj: dict[str, Any]) -> None:
    """Let the administrator apply an object."""
    with asking(server) as ask:
        path = f"{_collection(obj)}/{obj['metadata']['name']}?fieldManager=berth-test&force=true"
        answer = ask("", "PATCH", path, obj, kind=APPLY, dry=False)
        assert answer.is_success, answer.text


def until_granted(server: ApiServer, name: str, role: str, namespace: str = WORKSPACES) -> None:
    """Wait until the API server knows that somebody has a role: it hears of what is bound some time after that."""
    scope = "" if role.startswith("cluster") else f"namespaces/{namespace}/"
    with asking(server) as ask:

        def is_granted() -> bool:
            found = ask("", "GET", f"/apis/rbac.authorization.k8s.io/v1/{scope}{role}")
            rules = (found.json().get("rules") if found.is_success else None) or []
            seen = _rules(ask, name, namespace)
            return bool(rules) and all(rule in seen for rule in rules)

        until(is_granted, f"{name} was never given {role}")


def _rules(ask: Asking, name: str, namespace: str) -> list[dict[str, Any]]:
    """Rules of a namespace that let somebody do something."""
    api = "authorization.k8s.io/v1"
    review = {"apiVersion": api, "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}}
    answer = ask(name, "POST", f"/apis/{api}/selfsubjectrulesreviews", review, dry=False)
    found: list[dict[str, Any]] = answer.raise_for_status().json()["status"]["resourceRules"]
    return found


def _collection(obj: dict[str, Any]) -> str:
    """Path of the objects of one's kind, in its namespace where it has any."""
    version, kind = obj["apiVersion"], obj["kind"]
    root = "apis" if "/" in version else "api"
    where = "" if kind.startswith("Cluster") else f"namespaces/{obj['metadata'].get('namespace', WORKSPACES)}/"
    return f"/{root}/{version}/{where}{PLURALS.get(kind, f'{kind.lower()}s')}"


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
    reserved: dict[str, Any] = {"name": "b-01900000-0000-7000-8000-000000000001", "namespace": WORKSPACES}
    pod_spec = {"containers": [{"name": "c", "image": "c"}]}
    editor, version = Person(server, "probe-edit"), "berth.dev/v1alpha1"
    writer = status_writer(server, "probe-writer")
    api, operator = (f"system:serviceaccount:{NAMESPACE}:berth-{name}" for name in ("api", "operator"))
    deployment: dict[str, Any] = {"apiVersion": version, "kind": "WorkspaceDeployment", "metadata": metadata}
    one = f"{_collection(deployment)}/probe"
    with asking(server) as ask:

        def is_applied() -> bool:
            body = deployment | {"spec": {"type": "misty"}}
            return ask("", "PATCH", f"{one}?fieldManager=berth-test", body, kind=APPLY, dry=False).is_success

        # A policy refuses everything while the API server does not know yet what it compares with.
        until(is_applied, "the administrator could never make a deployment")

        def refused(who: str, policy: str, method: str, path: str, body: dict[str, Any]) -> None:
            until(lambda: policy in ask(who, method, path, body).text, f"policy {policy} is not in force")

        for probe, policy, kind, spec in probes:
            named = metadata | ({"name": "x" * 64} if policy == "berth-names" else {})
            obj = {"apiVersion": version, "kind": kind, "metadata": named, "spec": spec}
            refused(probe.name, policy, "POST", _collection(obj), obj)
        own = {"apiVersion": version, "kind": "Instance", "spec": inner | {"user": user.name}, "metadata": reserved}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec}
        noted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": reserved}
        refused(user.name, "berth-marks", "POST", _collection(own), own)
        refused(editor.name, "berth-workloads", "POST", _collection(pod), pod)
        refused(editor.name, "berth-belongings", "POST", _collection(noted), noted)
        refused(api, "berth-lockout", "PATCH", one, {"spec": {"region": "x"}})
        refused(api, "berth-leases", "PATCH", f"{one}/status", {"status": {"epoch": 1}})
        password = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "u-password", "namespace": ACCESS}}
        refused(api, "berth-records", "POST", _collection(password), password)
        server.kubectl(*raise_epoch("probe", 1))
        refused(writer.name, "berth-epochs", "PATCH", f"{one}/status", {"status": {"epoch": 2}})
        refused(operator, "berth-deployments", "PATCH", one, {"spec": {"region": "x"}})


def status_writer(server: ApiServer, name: str, *verbs: str) -> Person:
    """Somebody who may write the status of deployments, as Berth's processes may, with these verbs beside."""
    rules = [
        {"apiGroups": ["berth.dev"], "resources": ["workspacedeployments/status"], "verbs": ["get", "patch"]},
        {"apiGroups": ["berth.dev"], "resources": ["workspacedeployments"], "verbs": ["get", *verbs]},
    ]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}}
    applied(server, role | {"rules": rules})
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
        time.sleep(0.02)
