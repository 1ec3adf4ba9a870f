"""Berth by kubectl: the same work without the HTTP API, and tables that read like a notice board."""

import json
from collections.abc import Mapping

import pytest
from lab import DEPLOYMENT_TYPE, NAMESPACE, Lab, Person


def applied(lab: Lab, name: str, spec: Mapping[str, object], check: bool = True) -> str:
    """Apply an Instance and return what kubectl said."""
    body = {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "Instance",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }
    return lab.kubectl("apply", "-f", "-", stdin=json.dumps(body), check=check)


def test_an_instance_applied_with_kubectl_becomes_ready(lab: Lab, ada: Person, bob: Person) -> None:
    spec = {
        "workspaceType": DEPLOYMENT_TYPE,
        "user": ada.name,
        "requesterAddress": ada.address(),
        "sshKeys": [ada.public_key()],
    }
    applied(lab, "by-hand", spec)
    lab.wait("instance/by-hand", "condition=Ready")
    status = lab.get("instance", "by-hand")["status"]
    info = ada.asks("GET", f"/instance/{status['id']}").json
    assert info["status"] == "READY"
    assert ada.ssh(info, "echo", "aboard").stdout == "aboard\n"
    assert bob.probe(info, "shut") == 0.0

    board = lab.kubectl("get", "wt,wd,inst,fwr", "-n", NAMESPACE)
    assert f"{status['address']['ipv4']}" in board
    assert all(
        word in board for word in (DEPLOYMENT_TYPE, ada.name, str(status["address"]["port"]), "ACCEPT", "Leased")
    )

    rule = {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "FirewallRule",
        "metadata": {"name": "let-bob-in", "namespace": NAMESPACE},
        "spec": {"instance": status["id"], "order": 7, "source": f"{bob.address()}/32"},
    }
    lab.kubectl("apply", "-f", "-", stdin=json.dumps(rule))
    lab.wait("fwr/let-bob-in", "condition=InForce")
    assert bob.probe(info, "open") <= 1.5

    lab.kubectl("patch", "instance", "by-hand", "-n", NAMESPACE, "--type=merge", "-p", '{"spec": {"terminate": true}}')
    lab.wait("instance/by-hand", "condition=Ended")
    assert lab.leftovers(status["id"]) == []
    assert [r for r in lab.objects("fwr") if r["spec"]["instance"] == status["id"]] == []
    lab.kubectl("delete", "instance", "by-hand", "-n", NAMESPACE, "--timeout=30s")


@pytest.mark.release(twin="tests/envtest/operator/test_turns.py")
def test_an_instance_waits_while_its_deployment_is_lent_out(lab: Lab, ada: Person) -> None:
    deployment = ada.sees_free()
    instance = ada.takes(deployment)
    name = lab.get("instance", instance)["status"]["deployment"]
    applied(lab, "patient", {"deployments": [name], "user": "bob"})
    lab.wait("instance/patient", "condition=Bound=false")
    assert "Waiting" in lab.kubectl("get", "inst", "patient", "-n", NAMESPACE, "-o", "yaml")
    ada.ends(instance)
    lab.wait("instance/patient", "condition=Ready")
    lab.kubectl("delete", "instance", "patient", "-n", NAMESPACE, "--timeout=30s")


@pytest.mark.release(twin="tests/envtest/core/test_refusals.py")
def test_wrong_yaml_is_refused_with_what_to_write(lab: Lab) -> None:
    said = applied(lab, "wrong", {"user": "ada"}, check=False)
    assert "give exactly one of spec.workspaceType and spec.deployments" in said
