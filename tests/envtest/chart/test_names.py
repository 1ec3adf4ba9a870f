"""Nobody but Berth makes what Berth makes: a stranger who made it first would be believed, or would be in the way.

The names come from objects that Berth made in simulated histories, not from a list by hand.
"""

import json
import uuid
from collections.abc import Iterator
from typing import Final

import documented
import pytest
from tests.sim.playing import simulation

from berth_core import names
from berth_core.kube.types import Object
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.asking import Asking, asking

from .conftest import ACCESS, WORKSPACES, introduce
from .matrix_kubernetes import KINDS, ROLE

pytestmark = pytest.mark.apiserver

STRANGER = "names-stranger"
ID = str(uuid.UUID(int=1))
UNPLAYED = {
    ("leases", WORKSPACES, names.keep_alive_lease(ID)),
    ("networkpolicies", WORKSPACES, "berth-probe-0badcafe"),
    ("pods", WORKSPACES, "berth-probe-0badcafe"),
    ("resourceclaims", WORKSPACES, names.claim_object(ID, 1, "camera")),
    ("services", WORKSPACES, names.inbound_object(ID)),
    ("endpointslices", WORKSPACES, names.inbound_object(ID)),
}
"""Objects that no history makes: of pings, devices, inbound connections, and the probe of NetworkPolicy."""
BY_RIGHTS = {("resourcequotas", WORKSPACES), ("resourcequotas", ACCESS)}
"""Kinds that no role of people's writes, in whatever namespace."""
CLAIMS: Final[dict[str, tuple[str, str, Object]]] = {
    "resourceclaims": ("resource.k8s.io/v1", "ResourceClaim", {"spec": {}})
}
QUOTA: Final = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "x"},
    "spec": {"hard": {"pods": "0"}},
}


@pytest.fixture(scope="module")
def recorded() -> set[tuple[str, str, str]]:
    """Kind, namespace and name of one object of each shape."""
    status, printed = simulation("created")
    assert status == 0, printed
    places = {"lab": WORKSPACES, ACCESS: ACCESS}
    return {(plural, places[namespace], name) for plural, namespace, name in json.loads(printed)}


@pytest.fixture(scope="module")
def ask(installed: ApiServer) -> Iterator[Asking]:
    """Requests, also of a stranger with every right to Kubernetes' kinds in the workspace namespace."""
    installed.kubectl("apply", "-f", "-", stdin=json.dumps(ROLE))
    introduce(installed, STRANGER, ROLE["metadata"]["name"])
    with asking(installed) as connection:
        yield connection


def refusal(ask: Asking, plural: str, namespace: str, name: str) -> str:
    """Return the API server's words to the stranger who makes it; empty where it lets them."""
    version, kind, rest = (KINDS | CLAIMS)[plural]
    path = f"/{'api' if version == 'v1' else 'apis'}/{version}/namespaces/{namespace}/{plural}"
    manifest = {"apiVersion": version, "kind": kind, "metadata": {"name": name}} | rest
    answer = ask(STRANGER, "POST", path, manifest)
    assert answer.is_success or answer.status_code in (403, 422), answer.text
    return "" if answer.is_success else str(answer.json()["message"])


def test_no_stranger_makes_first_what_berth_makes(ask: Asking, recorded: set[tuple[str, str, str]]) -> None:
    assert len(recorded) > 20
    answers = {what: refusal(ask, *what) for what in recorded | UNPLAYED}
    by_policy = {what for what, said in answers.items() if "ValidatingAdmissionPolicy" in said}
    # People of a workspace namespace have no rights to the access namespace, which is Berth's own.
    assert answers.keys() - by_policy == {
        what for what in answers if what[1] == ACCESS and "cannot create" in answers[what]
    }


def test_a_stranger_makes_what_has_another_name(ask: Asking) -> None:
    assert not {plural for plural in ("secrets", "services", "leases") if refusal(ask, plural, WORKSPACES, "mine")}


def test_every_kind_that_berth_makes_is_tried(recorded: set[tuple[str, str, str]]) -> None:
    places = {"workspaces": WORKSPACES, "access": ACCESS}
    made = {
        (plural, places[place])
        for process in ("operator", "api", "notifier")
        for place, group, plural, _, verb in documented.rights(process)
        if place in places and verb in ("create", "patch", "update") and group != "berth.dev"
        if "/" not in plural and plural != "events"
    }
    assert made - {(plural, namespace) for plural, namespace, _ in recorded | UNPLAYED} == BY_RIGHTS


def test_no_people_write_quotas(ask: Asking, installed: ApiServer) -> None:
    introduce(installed, "names-owner", "admin")
    introduce(installed, "names-owner", "admin", ACCESS)
    for plural, namespace in BY_RIGHTS:
        answer = ask("names-owner", "POST", f"/api/v1/namespaces/{namespace}/{plural}", QUOTA)
        assert answer.status_code == 403, answer.text
        assert "cannot create" in answer.text
