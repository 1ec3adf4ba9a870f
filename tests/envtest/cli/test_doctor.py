"""`berth doctor` where little is installed, and for somebody who may read little; a whole release is in tests/e2e."""

import json
from pathlib import Path

from berth_core.kube.client import Client
from berth_core.kube.conditions import condition
from berth_core.kube.types import Object
from berth_core.leases import leasing
from berth_core.leases.availability import QUARANTINED
from berth_core.names import API_VERSION
from berth_core.resources import WorkspaceType
from berth_dev.envtest.accounts import account
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces

from . import lab
from .conftest import Run


async def test_what_is_missing_is_named_with_how_to_mend_it(
    client: Client, namespaces: Namespaces, installed: None, berth: Run
) -> None:
    where = namespaces.workspaces
    await lab.deployment(client, where, "misty-1")
    lease = await leasing.take(client, where, "misty-1", instance="i", user="alice", now=lab.NOW)
    ill = condition(QUARANTINED, True, "ResetFailed", "exit code 3", now=lab.NOW)
    await leasing.give_back(client, where, lease, instance="i", completed=True, now=lab.NOW, conditions=[ill])
    done = berth("doctor", "-n", namespaces.release, "-w", where, "-o", "json")
    assert done.code == 1, done.err
    found = {one["check"]: one for one in json.loads(done.out)}
    levels = {check: one["level"] for check, one in found.items()}
    well = ("cluster version", "clock here", "resources (CRDs)", "agents' authority", "keys")
    assert {levels[check] for check in well} == {"ok"}, found
    assert (levels["operator"], levels["api"], levels["leader"]) == ("failed", "failed", "failed")
    assert levels["NetworkPolicy"] == "unknown"
    assert "berth deployment release misty-1" in found["deployments"]["mend"]
    shown = berth("doctor", "-n", namespaces.release, "-w", where)
    assert shown.code == 1
    assert f"there is no berth-api in namespace {namespaces.release}" in shown.out
    assert "\noperator: `helm list -A` shows releases" in shown.out


def test_what_may_not_be_read_is_unknown(
    apiserver: ApiServer, namespaces: Namespaces, berth: Run, tmp_path: Path
) -> None:
    path = account(apiserver, "nobody", namespaces.release, {}, tmp_path)
    done = berth("doctor", "-n", namespaces.release, "--kubeconfig", str(path), "-o", "json")
    assert done.code == 0
    assert {one["level"] for one in json.loads(done.out)} == {"ok", "unknown"}


async def test_before_an_upgrade_types_are_named_that_will_reach_less(
    apiserver: ApiServer, client: Client, namespaces: Namespaces, berth: Run
) -> None:
    """The operator is of an earlier version, whose environment has no bounds."""
    blocked = {"name": "BERTH_BLOCKED_CIDRS", "value": "192.168.8.0/24"}
    labels = {"app": "berth-operator"}
    operator = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "berth-operator", "namespace": namespaces.release},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "operator", "image": "localhost/berth:0", "env": [blocked]}]},
            },
        },
    }
    apiserver.kubectl("create", "-f", "-", stdin=json.dumps(operator))
    template = {"image": "example.test/it:1", "env": [{"name": "ROBOT", "value": "192.168.7.9"}]}
    kind: Object = {"apiVersion": API_VERSION, "kind": "WorkspaceType", "metadata": {"name": "arm"}}
    kind["spec"] = {"typeName": "arm", "template": template}
    await client.create(WorkspaceType.api(), namespaces.workspaces, kind)
    done = berth("doctor", "-n", namespaces.release, "-w", namespaces.workspaces, "-o", "json")
    found = {one["check"]: one for one in json.loads(done.out)}
    assert "type arm: its environment names 192.168.7.9" in found["egress"]["says"]
    assert found["quotas"]["level"] == "ok"
