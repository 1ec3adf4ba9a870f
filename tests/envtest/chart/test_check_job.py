"""The Job before upgrades: it works with the rights of its own account, and whatever it finds stops no upgrade."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from loosening import loosened

from berth_dev.envtest.accounts import speaking_for
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.errors import ClusterError

from .conftest import ACCESS, CHART, NAMESPACE, RELEASE, WORKSPACES, Helm, until

API = "berth.dev/v1alpha1"
CHECK = "berth-check"
VALUES = [
    "--set=bounds.objects.projects=1,bounds.quota.services=1",
    "--set=instances.allowedRuntimeClasses={gvisor}",
    "--set=instances.machineCidrs={192.168.7.0/24}",
]
ROBOT = [{"name": "ROBOT", "value": "tcp://192.168.7.4:30002"}]
LATER = "2100-01-01T00:00:00Z"
ODD: list[tuple[str, str, str, dict[str, Any]]] = [
    ("Instance", "unreadable", WORKSPACES, {"user": "ada", "workspaceType": "t", "requesterAddress": "x" * 60}),
    ("Project", "with-a-token", WORKSPACES, {"name": "p", "user": "ada", "repoURL": "https://hunter2@git.test/a"}),
    ("IssuedToken", "f" * 64, ACCESS, {"sha256": "f" * 64, "user": "ada", "issued": "2026-02-01 01:00:00Z"}),
    ("WorkspaceType", "old", WORKSPACES, {"typeName": "old", "template": {"image": "i", "runtimeClassName": "kata"}}),
    ("WorkspaceType", "robot", WORKSPACES, {"typeName": "robot", "template": {"image": "i", "env": ROBOT}}),
]


OPENS = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "opens", "namespace": WORKSPACES},
    "spec": {"podSelector": {}, "egress": [{}]},
}


@pytest.fixture
def odd(installed: ApiServer) -> Iterator[None]:
    """Objects of an earlier version, which this one would refuse."""
    plurals = ("instances", "projects", "issuedtokens")
    with loosened(installed, *plurals):
        for kind, name, namespace, spec in ODD:
            spec = spec | ({"expires": LATER} if kind == "IssuedToken" else {})
            obj = {"apiVersion": API, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}
            installed.kubectl("apply", "-f", "-", stdin=json.dumps(obj))
    installed.kubectl("create", "service", "clusterip", "other", "--tcp=80", "-n", WORKSPACES)
    installed.kubectl("apply", "-f", "-", stdin=json.dumps(OPENS))
    installed.kubectl("create", "deployment", "web", "--image=web", "--replicas=0", "-n", WORKSPACES)
    yield
    installed.kubectl("delete", "deployment/web", "service/other", "networkpolicy/opens", "-n", WORKSPACES)
    for kind, name, namespace, _ in ODD:
        installed.kubectl("delete", f"{kind}.berth.dev/{name}", "-n", namespace)


@pytest.fixture
def look(installed: ApiServer, helm: Helm, tmp_path: Path) -> Iterator[Any]:
    """`look(values)`: run the Job's command with its environment and account; exit code and lines of its log."""

    def run(*values: str, bound: bool = True) -> tuple[int, list[dict[str, Any]]]:
        hooks = {"ServiceAccount", "Role", "RoleBinding"} if bound else {"ServiceAccount"}
        made = [obj for obj in helm.render(*values) if obj["metadata"]["name"] == CHECK]
        for obj in made:
            if obj["kind"] in hooks:
                installed.kubectl("apply", "-f", "-", stdin=json.dumps(obj))
        (container,) = next(obj for obj in made if obj["kind"] == "Job")["spec"]["template"]["spec"]["containers"]
        who = f"--as=system:serviceaccount:{NAMESPACE}:{CHECK}"
        for resource in ("instances.berth.dev", "services") if bound else ():
            until(partial(_may, installed, "list", resource, "-n", WORKSPACES, who), "no right was given")
        path = speaking_for(installed, CHECK, NAMESPACE, tmp_path)
        variables = {one["name"]: one.get("value", "") for one in container["env"]}
        done = subprocess.run(
            [sys.executable, "-m", "berth_cli.jobs.check"],
            env=os.environ | variables | {"KUBECONFIG": str(path)},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    yield run
    for kind, namespace in (("serviceaccount", NAMESPACE), ("role", WORKSPACES), ("rolebinding", WORKSPACES)):
        installed.kubectl("delete", kind, CHECK, "-n", namespace, "--ignore-not-found")
    installed.kubectl("delete", "role,rolebinding", CHECK, "-n", ACCESS, "--ignore-not-found")


def _may(server: ApiServer, *words: str) -> bool:
    return server.kubectl("auth", "can-i", *words, check=False).strip() == "yes"


@pytest.mark.release(twin="tests/unit/cli/jobs/test_check.py")
def test_what_the_new_version_would_refuse_is_listed_with_the_jobs_own_rights(odd: None, look: Any) -> None:
    code, lines = look(*VALUES)
    told = {line["check"]: line["event"] for line in lines if "check" in line}
    assert code == 0, lines
    assert not any("cannot be listed" in says for says in told.values()), told
    assert f"Instance {WORKSPACES}/unreadable" in told["readable"]
    assert f"Project {WORKSPACES}/with-a-token (spec.repoURL)" in told["fields"]
    assert f"IssuedToken {ACCESS}/ffff" in told["fields"]
    assert f"Deployment {WORKSPACES}/web" in told["workloads"]
    assert f"{WORKSPACES}/opens" in told["openings"]
    assert "type old (kata)" in told["RuntimeClasses"]
    assert "type robot: its environment names 192.168.7.4" in told["egress"]
    assert re.search(rf"{WORKSPACES} has \d+ projects", told["quotas"])
    assert f"{WORKSPACES} has 1 services" in told["quotas"]


def test_what_may_not_be_read_stops_no_upgrade_and_is_said(look: Any) -> None:
    code, lines = look(bound=False)
    assert code == 0, lines
    told = {line["check"]: line["event"] for line in lines if "check" in line}
    assert {"readable", "names and labels", "workloads", "fields"} <= told.keys()
    assert all("cannot be listed" in told[check] for check in ("readable", "workloads", "fields"))


@pytest.mark.release(twin="tests/unit/cli/jobs/test_check.py")
def test_an_upgrade_can_add_a_workspace_namespace(installed: ApiServer, helm: Helm) -> None:
    """There are no nodes here, so the upgrade goes on until the first of its Jobs, after all that these need."""
    more = f"--set=namespaces.workspaces={{{WORKSPACES},lab-new}}"
    with pytest.raises(ClusterError, match="timed out"):
        helm("upgrade", RELEASE, CHART, "-n", NAMESPACE, more, "--timeout=3s")
    roles = {obj["metadata"]["namespace"] for obj in helm.render(more) if obj["metadata"]["name"] == CHECK}
    assert roles == {NAMESPACE, WORKSPACES, ACCESS}
    installed.kubectl("delete", "jobs", "--all", "-n", NAMESPACE)
    helm.install()


def test_where_helm_cannot_look_no_hook_needs_a_namespace_that_the_chart_makes(helm: Helm) -> None:
    """GitOps tools render the chart without a cluster, and run hooks before anything is there."""

    def places(*words: str) -> set[str]:
        text = helm("template", RELEASE, CHART, "-n", NAMESPACE, "--is-upgrade", *words)
        found = [obj for obj in yaml.safe_load_all(text) if obj and obj["metadata"]["name"] == CHECK]
        return {obj["metadata"]["namespace"] for obj in found}

    assert places() == set()
    assert places("--set=namespaces.create=false") == {NAMESPACE, WORKSPACES, ACCESS}
