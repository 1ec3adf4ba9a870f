"""The API process, taken over, writes machines within MachineGrants only, and no more of them than owners may."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from berth_core.kube.types import Object
from berth_core.names import API_VERSION, IDEMPOTENCY_LABEL, MANAGED_BY, MANAGED_BY_LABEL, token_labels
from berth_core.resources import WorkspaceDeployment, WorkspaceDeploymentSpec, manifest
from berth_core.resources.machines.network import Machine, MachineNetwork, MachinePort
from berth_core.resources.workspacedeployment import Health, Maintenance
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.asking import Asking, asking

from .conftest import NAMESPACE, WORKSPACES

API = f"system:serviceaccount:{NAMESPACE}:berth-api"
WHERE = f"/apis/{API_VERSION}/namespaces/{WORKSPACES}"
MACHINES, GRANTS = f"{WHERE}/workspacedeployments", f"{WHERE}/machinegrants"
ID = "01900000-0000-7000-8000-0000000000{:02x}"


def grant(name: str, **spec: Any) -> Object:
    networks = [
        {"cidr": "192.0.2.32/28", "ports": [{"port": 30000, "endPort": 30010}, {"protocol": "UDP", "port": 7400}]},
        {"cidr": "2001:db8:7::/64"},
    ]
    body = {"users": ["alice"], "types": ["granted"], "networks": networks, "deployments": 2} | spec
    return {"apiVersion": API_VERSION, "kind": "MachineGrant", "metadata": {"name": name}, "spec": body}


def network(*addresses: str, **port: Any) -> Object:
    ports = [{"protocol": "TCP", "port": 30002} | port] if port.pop("some", True) else []
    return {"network": {"addresses": [*addresses], "ports": ports}}


ARM = network("192.0.2.40/32")


def machine(name: str = ID.format(1), metadata: Object | None = None, **spec: Any) -> Object:
    body = {"type": "granted", "owners": ["alice"], "grant": "of-alice", "machine": ARM} | spec
    body = {key: value for key, value in body.items() if value is not None}
    return {
        "apiVersion": API_VERSION,
        "kind": "WorkspaceDeployment",
        "metadata": {"name": name} | (metadata or {}),
        "spec": body,
    }


@pytest.fixture(scope="module")
def ask(installed: ApiServer) -> Iterator[Asking]:
    """Make two grants, a machine that was registered and one of an administrator's, and wait for the policy."""
    with asking(installed) as made:
        objects = [
            (GRANTS, grant("of-alice")),
            (GRANTS, grant("of-bob", users=["bob"], networks=[{"cidr": "192.0.2.0/24"}])),
            (MACHINES, machine(ID.format(9))),
            (MACHINES, machine("bench", grant=None)),
        ]
        for path, obj in objects:
            assert made("", "POST", path, obj, dry=False).status_code == 201
        # The API server hears of the grants some time after they were made.
        until = time.monotonic() + 60
        for name, outside in (("of-alice", "192.0.2.99/32"), ("of-bob", "198.51.100.1/32")):
            wrong = machine(grant=name, owners=["alice" if name == "of-alice" else "bob"], machine=network(outside))
            while made(API, "POST", MACHINES, wrong).status_code == 201:
                assert time.monotonic() < until, "policy berth-grants is not in force"
                time.sleep(0.02)
        yield made
        for path, obj in reversed(objects):
            made("", "DELETE", f"{path}/{obj['metadata']['name']}", dry=False)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"machine": network("192.0.2.32/28", endPort=30010, port=30000)},
        {"machine": network("192.0.2.40/32", protocol="UDP", port=7400)},
        {"machine": network("2001:db8:7::40/128", some=False)},
        {"machine": network("2001:db8:7::40/128", protocol="UDP", port=1, endPort=65535)},
        {"grant": "of-bob", "owners": ["bob"], "machine": network("192.0.2.99/32", some=False)},
        {"health": {"tcp": 30002, "duringLease": True}},
        {"health": {"http": {"port": 30002, "path": "/"}}},
        {"maintenance": {"reason": "new"}, "region": "lab", "description": "x", "typeVersion": 2},
    ],
)
def test_the_api_process_registers_machines_within_a_grant(ask: Asking, spec: Object) -> None:
    answer = ask(API, "POST", MACHINES, machine(**spec))
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    ("spec", "policy"),
    [
        ({"machine": network("192.0.2.99/32")}, "berth-grants"),
        ({"machine": network("192.0.2.0/24")}, "berth-grants"),
        ({"machine": network("192.0.2.40/32", "192.0.2.99/32")}, "berth-grants"),
        ({"machine": network("192.0.2.40/32", port=30011)}, "berth-grants"),
        ({"machine": network("192.0.2.40/32", endPort=30011)}, "berth-grants"),
        ({"machine": network("192.0.2.40/32", protocol="UDP")}, "berth-grants"),
        ({"machine": network("192.0.2.40/32", some=False)}, "berth-grants"),
        ({"machine": network("2001:db8:8::40/128", some=False)}, "berth-grants"),
        ({"owners": ["bob"]}, "berth-grants"),
        ({"grant": "of-bob"}, "berth-grants"),
        ({"type": "other"}, "berth-grants"),
        ({"grant": None}, "berth-lockout"),
        ({"machine": None}, "berth-lockout"),
        ({"machine": {}}, "berth-lockout"),
        ({"owners": None}, "berth-"),  # both refuse it, and the API server says one's words
        ({"owners": ["alice", "mallory"]}, "berth-lockout"),
        ({"overrides": {"nodeSelector": {"a": "b"}}}, "berth-lockout"),
        ({"overrides": {"env": [{"name": "A", "value": "b"}]}}, "berth-lockout"),
        ({"heartbeat": "node"}, "berth-lockout"),
        ({"lockout": True}, "berth-lockout"),
        ({"dissolved": "2026-01-01T00:00:00Z"}, "berth-lockout"),
        ({"quarantineRelease": {"epoch": 1}}, "berth-lockout"),
        ({"health": {"tcp": 22}}, "berth-lockout"),
        ({"health": {"http": {"port": 80}}}, "berth-lockout"),
        ({"health": {"tcp": 30002, "host": "192.0.2.99"}}, "berth-lockout"),
        ({"health": {"http": {"port": 30002, "path": "/api/move?x=90"}}}, "berth-lockout"),
        ({"health": {"http": {"port": 30002}, "duringLease": True}}, "berth-lockout"),
        ({"name": "arm-7"}, "berth-lockout"),
        ({"metadata": {"annotations": {"a": "b"}}}, "berth-lockout"),
        ({"metadata": {"finalizers": ["berth.dev/fence"]}}, "berth-lockout"),
        ({"metadata": {"labels": {"a": "b"}}}, "berth-lockout"),
    ],
)
def test_the_api_process_registers_nothing_else(ask: Asking, spec: Object, policy: str) -> None:
    answer = ask(API, "POST", MACHINES, machine(**spec))
    assert answer.status_code in (403, 422), answer.text
    assert policy in answer.text, answer.text


@pytest.mark.parametrize(
    "change",
    [
        {"machine": network("192.0.2.41/32")},
        {"machine": network("2001:db8:7::40/128")},
        {"description": "x", "region": "y", "typeVersion": 4, "lockout": True},
        {"health": {"tcp": 30002}},
        {"maintenance": {"reason": "x"}},
        {"dissolved": "2026-01-01T00:00:00Z"},
    ],
)
def test_the_api_process_changes_what_owners_may(ask: Asking, change: Object) -> None:
    answer = ask(API, "PATCH", f"{MACHINES}/{ID.format(9)}", {"spec": change})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("name", "change", "policy"),
    [
        (ID.format(9), {"machine": network("192.0.2.99/32")}, "berth-grants"),
        (ID.format(9), {"machine": network("192.0.2.99/32"), "grant": "of-bob"}, "berth-grants"),
        (ID.format(9), {"machine": None}, "berth-lockout"),
        (ID.format(9), {"machine": {"network": None}}, "berth-lockout"),
        (ID.format(9), {"grant": None}, "berth-lockout"),
        (ID.format(9), {"grant": None, "machine": network("198.51.100.1/32")}, "berth-lockout"),
        (ID.format(9), {"health": {"tcp": 22}}, "berth-lockout"),
        (ID.format(9), {"health": {"http": {"port": 30002, "path": "/?x=90"}}}, "berth-lockout"),
        (ID.format(9), {"owners": ["bob"]}, "berth-lockout"),
        (ID.format(9), {"heartbeat": "node"}, "berth-lockout"),
        (ID.format(9), {"overrides": {"nodeSelector": {"a": "b"}}}, "berth-lockout"),
        ("bench", {"grant": "of-alice"}, "berth-lockout"),
        ("bench", {"machine": network("192.0.2.41/32")}, "berth-lockout"),
        ("bench", {"grant": "of-alice", "machine": network("192.0.2.41/32")}, "berth-lockout"),
        ("bench", {"description": "x"}, "berth-lockout"),
        ("bench", {"dissolved": "2026-01-01T00:00:00Z"}, "berth-lockout"),
        ("bench", {"maintenance": {"reason": "x"}}, "berth-lockout"),
    ],
)
def test_the_api_process_changes_nothing_else(ask: Asking, name: str, change: Object, policy: str) -> None:
    answer = ask(API, "PATCH", f"{MACHINES}/{name}", {"spec": change})
    assert answer.status_code in (403, 422), answer.text
    assert policy in answer.text, answer.text


def test_requests_in_the_form_of_the_api_process_pass(ask: Asking) -> None:
    """With all defaults written out, the labels of a request, and the nulls of a change."""
    health = Health(tcp=30002)
    spec = WorkspaceDeploymentSpec(
        type="granted",
        owners=["alice"],
        machine=Machine(network=MachineNetwork(addresses=["192.0.2.40/32"], ports=[MachinePort(port=30002)])),
        health=health,
        maintenance=Maintenance(reason="new"),
        grant="of-alice",
    )
    labels = {MANAGED_BY_LABEL: MANAGED_BY, IDEMPOTENCY_LABEL: "a" * 40} | token_labels("b" * 64)
    body = manifest(WorkspaceDeployment, WORKSPACES, ID.format(2), spec, labels=labels)
    answer = ask(API, "POST", MACHINES, body)
    assert answer.status_code == 201, answer.text
    change = {"health": health.model_dump(mode="json", by_alias=True), "grant": "of-alice", "maintenance": None}
    answer = ask(API, "PATCH", f"{MACHINES}/{ID.format(9)}", {"spec": change | {"machine": spec.wire()["machine"]}})
    assert answer.status_code == 200, answer.text


def test_a_grant_that_does_not_exist_is_left_to_the_operator(ask: Asking) -> None:
    """The limit that ADR 0053 names: CEL cannot say that one object of several exists."""
    answer = ask(API, "POST", MACHINES, machine(grant=f"none-{uuid.uuid4().hex[:8]}"))
    assert answer.status_code == 201, answer.text


def test_administrators_write_machines_as_they_like(ask: Asking) -> None:
    answer = ask("", "POST", MACHINES, machine("arm-8", grant=None, machine=network("198.51.100.1/32", some=False)))
    assert answer.status_code == 201, answer.text
