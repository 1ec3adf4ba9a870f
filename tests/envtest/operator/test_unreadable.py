"""An object that an earlier schema let in and that no model takes stops only itself."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from unittest.mock import ANY

import httpx
import pytest
from forked import Process
from loosening import loosened

from berth_core import names
from berth_core.kube.types import Kind, Object
from berth_core.leases import leasing
from berth_dev.envtest.apiserver import ApiServer

from .lab import (
    ACCESS_RULES,
    BERTH,
    BUILDS,
    DEPLOYMENTS,
    GRANTS,
    INSTANCES,
    KEY,
    PODS,
    PROJECTS,
    RESERVATIONS,
    RULES,
    TYPES,
    VPN_CLIENTS,
    Lab,
    condition,
)
from .process import Operators

pytestmark = pytest.mark.apiserver

CONDITION = {"type": "Odd", "status": "Perhaps", "reason": "Odd", "lastTransitionTime": "2026-01-01T00:00:00Z"}
WISH = {"user": "ada", "sshKeys": [KEY], "workspaceType": "bench"}
NETWORK = {"cidr": "192.0.2.0/24", "ports": [{"protocol": "SCTP", "port": 1}]}
ODD: dict[Kind, tuple[Object, Object]] = {
    TYPES: ({"typeName": "odd", "template": {"image": "none:1"}, "access": "ajar"}, {}),
    DEPLOYMENTS: ({"type": "bench", "heartbeat": "sometimes"}, {}),
    INSTANCES: (WISH, {"conditions": [CONDITION]}),
    RULES: ({"instance": "none", "source": "192.0.2.0/24", "action": "LOG"}, {}),
    VPN_CLIENTS: ({"instance": "none"}, {"conditions": [CONDITION]}),
    RESERVATIONS: ({"user": "ada", "workspaceType": "bench", "priority": 2000, "instance": WISH}, {}),
    ACCESS_RULES: ({"deployment": "other", "capability": "CAP_ODD", "ruleID": 1}, {}),
    GRANTS: ({"users": ["ada"], "types": ["bench"], "networks": [NETWORK]}, {}),
    PROJECTS: ({"name": "odd", "user": "ada", "repoURL": "what://ever"}, {}),
    BUILDS: ({"project": "odd", "user": "ada", "branch": "main", "priority": 2000}, {}),
}


@pytest.fixture(scope="module")
def apiserver(own_apiserver: ApiServer) -> ApiServer:
    """A server that nobody else uses, since its CRDs change."""
    return own_apiserver


@pytest.fixture
async def odd(lab: Lab, apiserver: ApiServer) -> AsyncIterator[None]:
    """One object of each kind that the operator watches, named `odd`; the schemas are this version's again."""
    with loosened(apiserver, *(kind.plural for kind in ODD)):
        for kind, (spec, status) in ODD.items():
            await _store(lab, kind, "odd", spec, status)
    yield
    for kind in ODD:
        await lab.client.delete(kind, lab.namespace, "odd")


async def _store(lab: Lab, kind: Kind, name: str, spec: Object, status: Object) -> None:
    await lab.create(kind, name, spec)
    if status:
        await lab.status_patch(kind, name, status)


@pytest.mark.usefixtures("odd")
async def test_others_get_their_turns_beside_objects_that_cannot_be_read(
    lab: Lab, operators: Operators, operator: Process
) -> None:
    await lab.type()
    await lab.deployment("one")
    first = await lab.instance(workspaceType="bench")
    await lab.until(INSTANCES, first, lambda o: condition(o, "Bound", "status") == "True", seconds=30)
    await lab.reservation("next", "bob", workspaceType="bench")
    await lab.client.patch(INSTANCES, lab.namespace, first, {"spec": {"terminate": True}})
    await lab.until(INSTANCES, first, lambda o: o["status"].get("endTime"), seconds=30)
    await lab.until(RESERVATIONS, "next", lambda o: condition(o, "Fulfilled", "status") == "True", seconds=30)
    lease = await lab.lease("one")
    assert lease is not None
    assert lease["user"] == "bob"
    for kind in (DEPLOYMENTS, INSTANCES, RULES, RESERVATIONS, TYPES, VPN_CLIENTS, GRANTS, BUILDS):
        shown = await lab.until(kind, "odd", lambda o: condition(o, "Readable", "status") == "False", seconds=30)
        assert "cannot be read" in str(condition(shown, "Readable", "message"))
    log = (operators.folder / "operator-0.log").read_text()
    told = [line for line in log.splitlines() if "object cannot be read" in line]
    # One line a version: as it was found, and with the condition.
    assert len(told) <= 2 * len(ODD), told
    assert not [line for line in log.splitlines() if "reconcile failed" in line and '"odd"' in line]
    async with httpx.AsyncClient() as client:
        metrics = (await client.get(f"http://127.0.0.1:{operators.ports[0]}/metrics")).text
    assert 'berth_unreadable_objects_total{kind="Reservation"}' in metrics
    assert operator.poll() is None


@pytest.mark.release(
    twin="tests/envtest/operator/test_unreadable.py::test_others_get_their_turns_beside_objects_that_cannot_be_read"
)
@pytest.mark.usefixtures("odd")
async def test_an_object_says_when_it_can_be_read_again(lab: Lab, operator: Process) -> None:
    await lab.until(DEPLOYMENTS, "odd", lambda o: condition(o, "Readable", "status") == "False", seconds=30)
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "odd", {"spec": {"heartbeat": "none"}})
    await lab.until(DEPLOYMENTS, "odd", lambda o: condition(o, "Readable", "status") == "True", seconds=30)
    assert operator.poll() is None


async def test_a_lease_stays_while_its_instance_cannot_be_read(
    lab: Lab, apiserver: ApiServer, operators: Operators
) -> None:
    operators.start()
    await lab.type()
    await lab.deployment("one")
    await lab.deployment("two")
    # Nobody waits for an Instance with a uid as its id.
    await lab.instance("mine", deployments=["one"])
    bound: Any = await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound", "status") == "True", seconds=30)
    uid = bound["metadata"]["uid"]
    pod = await lab.until(PODS, names.instance_object(uid), bool, seconds=30)
    kept = [c for c in bound["status"]["conditions"] if c["type"] != "Odd"]
    with loosened(apiserver, "instances"):
        await lab.status_patch(INSTANCES, "mine", {"conditions": [*kept, CONDITION]})
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Readable", "status") == "False", seconds=30)
    operators.stop_all()
    now = datetime.now(UTC)
    await leasing.take(lab.client, lab.namespace, "two", instance=str(uuid.uuid4()), user="bob", now=now)
    operators.start()
    # The new leader looks at this lease before the other one, whose Instance was never there.
    await lab.until(DEPLOYMENTS, "two", lambda o: "lease" not in o["status"], seconds=30)
    lease = await lab.lease("one")
    assert lease is not None
    assert lease["instance"] == uid
    assert (await lab.kept(PODS, pod["metadata"]["name"]))["metadata"] == pod["metadata"] | {
        "managedFields": ANY,
        "resourceVersion": ANY,
    }


async def test_the_name_of_a_type_that_cannot_be_read_stays_taken(
    lab: Lab, apiserver: ApiServer, operators: Operators
) -> None:
    elder = {"typeName": "bench", "template": {"image": "elder.invalid/none:1"}, "access": "ajar"}
    with loosened(apiserver, "workspacetypes"):
        await lab.create(TYPES, "a-elder", elder)
    await lab.type(template={"image": "rival.invalid/none:1"})
    await lab.create(DEPLOYMENTS, "one", {"type": "bench"})
    operators.start()
    told = await lab.until(TYPES, "bench", lambda o: condition(o, "IdConflict"), seconds=30)
    assert condition(told, "IdConflict", "status") == "True"
    assert "a-elder" in str(condition(told, "IdConflict", "message"))
    await lab.instance("mine", workspaceType="bench")
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound", "status") == "False", seconds=30)
    assert await lab.lease("one") is None
    await lab.client.patch(TYPES, lab.namespace, "a-elder", {"spec": {"access": None}})
    bound = await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound", "status") == "True", seconds=30)
    pod = await lab.until(PODS, names.instance_object(bound["metadata"]["uid"]), bool, seconds=30)
    assert "elder.invalid/none:1" in [one["image"] for one in pod["spec"]["containers"]]


def test_all_kinds_that_the_operator_watches_are_here() -> None:
    from berth_operator.registry import CONTROLLERS

    assert set(ODD) == {kind for kind in CONTROLLERS.watches if kind.api_version == BERTH}
