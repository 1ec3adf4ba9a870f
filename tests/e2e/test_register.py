"""An owner registers a robot by token; somebody leases it and reaches it; the owner moves it and retires it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from echoing import Echo
from lab import NAMESPACE, Lab, Person
from places import IMAGE, more_addresses, routes

from berth_dev.cluster.network import NETNS_FOLDER, OUTSIDE, ROBOTS
from berth_dev.cluster.outside import Outside

pytestmark = [pytest.mark.nodes, pytest.mark.release(twin="tests/envtest/api/test_machines.py")]

FIRST, SECOND = str(ROBOTS[6]), str(ROBOTS[7])
PORT: Final = 30002
TYPE, NAME = "registered_arm", "registered-arm"
TRY: Final = 'timeout 2 bash -c "</dev/tcp/{}/{}" 2>/dev/null && echo reached || echo missed'


@contextmanager
def granted(lab: Lab, user: str) -> Iterator[None]:
    """A type without machines, and a grant to register some."""
    template = {"image": IMAGE, "imagePullPolicy": "IfNotPresent"}
    networks = [{"cidr": str(ROBOTS), "ports": [{"protocol": "TCP", "port": PORT}]}]
    objects = [
        ("WorkspaceType", {"typeName": TYPE, "template": template}),
        ("MachineGrant", {"users": [user], "types": [TYPE], "networks": networks, "deployments": 1}),
    ]
    for kind, spec in objects:
        metadata = {"name": NAME, "namespace": NAMESPACE}
        body = {"apiVersion": "berth.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
        lab.kubectl("apply", "-f", "-", stdin=json.dumps(body))
    try:
        lab.wait(f"machinegrant/{NAME}", "condition=Ready")
        yield
    finally:
        lab.kubectl("delete", "wd", "-n", NAMESPACE, f"--field-selector=spec.grant={NAME}", "--timeout=60s")
        lab.kubectl("delete", "wt,machinegrant", NAME, "-n", NAMESPACE)


def reaches(person: Person, instance: str, address: str) -> bool:
    """Whether a workspace opens a connection to a robot."""
    info = person.asks("GET", f"/instance/{instance}").json
    done = person.ssh(info, TRY.format(address, PORT))
    assert done.stdout.strip() in ("reached", "missed"), done.stderr
    return done.stdout.strip() == "reached"


def answered(person: Person, method: str, path: str, body: Any = None) -> Any:
    """Ask, and return the answer's body."""
    answer = person.asks(method, path, body)
    assert answer.status == 200, answer.text
    return answer.json if answer.text else None


def test_an_owner_registers_moves_and_retires_a_robot_that_others_lease(
    lab: Lab, ada: Person, outside: Outside, tmp_path: Path
) -> None:
    owner = lab.person("olga", outside.namespace, tmp_path, "--scope", "own")
    netns = NETNS_FOLDER / OUTSIDE[1].namespace
    with (
        more_addresses(OUTSIDE[1], (FIRST, SECOND)),
        routes(),
        Echo(netns, PORT),
        granted(lab, "olga"),
    ):
        machine = {"network": {"addresses": [FIRST], "ports": [f"{PORT}/TCP"]}}
        request = {"type": TYPE, "machine": machine, "health": {"tcp": PORT, "every": 2}}
        beyond = request | {"machine": {"network": {"addresses": [FIRST]}}}
        assert owner.asks("POST", "/deployment", beyond).status == 403
        assert ada.asks("POST", "/deployment", request).status == 403
        deployment = answered(owner, "POST", "/deployment", request)["id"]
        lab.wait(f"wd/{deployment}", "condition=Available")
        assert FIRST not in ada.asks("GET", f"/deployment/{deployment}").text
        first = ada.takes(deployment)
        assert (reaches(ada, first, FIRST), reaches(ada, first, SECOND)) == (True, False)
        moved = {"machine": {"network": {"addresses": [SECOND], "ports": [f"{PORT}/TCP"]}}}
        shown = answered(owner, "PATCH", f"/deployment/{deployment}", moved)
        assert shown["machine"]["network"]["addresses"] == [f"{SECOND}/32"]
        assert (reaches(ada, first, FIRST), reaches(ada, first, SECOND)) == (True, False), "from the next lease on"
        ada.ends(first)
        lab.wait(f"wd/{deployment}", "condition=Available")
        second = ada.takes(deployment)
        assert (reaches(ada, second, FIRST), reaches(ada, second, SECOND)) == (False, True)
        answered(owner, "DELETE", f"/deployment/{deployment}")
        assert reaches(ada, second, SECOND), "its holder keeps it"
        ada.ends(second)
        refused = ada.asks("POST", f"/new/{deployment}")
        assert (refused.status, "dissolved" in refused.text) == (400, True)
        answered(owner, "POST", "/deployment", request)
