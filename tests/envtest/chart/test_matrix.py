"""The matrix of requests: roles and policies of the chart refuse everybody what is not theirs."""

import json
from collections.abc import Iterator
from functools import partial

import pytest

from berth_core.kube.types import Object
from berth_core.names import API_VERSION
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.asking import Asking, asking

from . import matrix, matrix_kubernetes
from .conftest import introduce, until

ROWS = [*matrix.rows(), *matrix_kubernetes.rows()]
EXISTING = [*matrix.existing(), *matrix_kubernetes.existing()]


@pytest.fixture(scope="module")
def ask(installed: ApiServer) -> Iterator[Asking]:
    """Make the objects that the requests are about, and everybody who asks."""
    installed.kubectl("apply", "-f", "-", stdin=json.dumps(matrix_kubernetes.ROLE))
    for name, role in matrix.ROLES.items():
        introduce(installed, matrix.ACCOUNTS[name], role)
    with asking(installed) as made:
        for path, obj in EXISTING:
            answer = made("", "POST", path, obj, dry=False)
            assert answer.status_code == 201, answer.text
        for path, change in owned(made):
            _written(made, path, change)
        for name, status in matrix.statuses().items():
            _written(made, f"{matrix.collection('workspacedeployments')}/{name}/status", {"status": status})
        # The API server hears of the objects that a policy compares with some time after they were made.
        for late in (row for row in ROWS if row.what in LATE):
            until(partial(_is_refused, made, late), f"no policy refuses yet: {late.what}")
        yield made
        for path, obj in reversed(EXISTING):
            one = f"{path}/{obj['metadata']['name']}"
            _written(made, one, {"metadata": {"finalizers": None}})
            made("", "DELETE", one, dry=False)


def owned(ask: Asking) -> Iterator[tuple[str, Object]]:
    """Changes by which what Berth has marked has an owner that is there, so that nothing collects it."""
    builds = matrix.collection("builds")
    uid = ask("", "GET", f"{builds}/matrix").json()["metadata"]["uid"]
    owner = {"apiVersion": API_VERSION, "kind": "Build", "name": "matrix", "uid": uid}
    marked = [f"{matrix.collection(plural)}/marked" for plural in matrix.WORKSPACE_KINDS]
    belongings = [f"{matrix_kubernetes.collection(plural)}/matrix" for plural in matrix_kubernetes.BELONGINGS]
    for path in (*marked, *belongings):
        yield path, {"metadata": {"ownerReferences": [owner]}}


def _is_refused(ask: Asking, row: matrix.Row) -> bool:
    return not matrix.sent(ask, "", row)


def _written(ask: Asking, path: str, body: Object) -> None:
    answer = ask("", "PATCH", path, body, dry=False)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("who", matrix.ACCOUNTS)
def test_everybody_may_do_what_the_matrix_says_and_nothing_else(ask: Asking, who: str) -> None:
    may, wrong = 0, []
    for row in ROWS:
        allowed = matrix.sent(ask, matrix.ACCOUNTS[who], row)
        may += allowed
        if allowed != (who in row.may):
            wrong.append(f"{'yes' if allowed else 'no'} to: {row.what}")
    assert not wrong, "\n".join(wrong)
    assert may == sum(who in row.may for row in ROWS)


def test_whoever_has_every_right_to_kubernetes_kinds_is_refused_by_policies(ask: Asking) -> None:
    """So no row says no only because roles do."""
    helper = matrix.ACCOUNTS["helper"]
    for row in matrix_kubernetes.rows():
        if "helper" not in row.may:
            answer = ask(helper, row.method, row.path, row.body, dry=row.dry)
            assert "ValidatingAdmissionPolicy" in answer.text, f"{row.what}: {answer.text}"


def test_the_administrator_of_the_cluster_is_refused_nothing_but_what_nobody_may(ask: Asking) -> None:
    """So every request is a good one: what others are refused, a right or a policy refuses them."""
    wrong = []
    for row in ROWS:
        if any(f"/{way}" in row.path for way in ("proxy/", "exec?", "attach?", "portforward?")):
            continue  # there is no such container to get into
        if not matrix.sent(ask, "", row):
            wrong.append(row.what)
    assert wrong == NOBODYS


NOBODYS = [
    *(row.what for row in matrix.untimely()),
    "create reservations with a claim inside",
    *(
        f"{verb} overrides of {what}"
        for what in ("another node", "another number of devices", "no device")
        for verb in ("create workspacedeployments with", "give a deployment")
    ),
    "delete the namespace",
]
LATE = ("give a deployment overrides of another node", "delete the namespace")
