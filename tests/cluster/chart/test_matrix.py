"""The matrix of requests: roles and policies of the chart refuse everybody what is not theirs."""

import time
from collections.abc import Iterator

import pytest

from berth_cluster.apiserver import ApiServer
from berth_core.client import Object

from . import matrix
from .asking import Asking, asking
from .conftest import introduce


@pytest.fixture(scope="module")
def ask(installed: ApiServer) -> Iterator[Asking]:
    """What the requests are about, and everybody who makes them."""
    for name, role in matrix.ROLES.items():
        introduce(installed, matrix.ACCOUNTS[name], role)
    with asking(installed) as made:
        for path, obj in matrix.existing():
            answer = made("", "POST", path, obj, dry=False)
            assert answer.status_code == 201, answer.text
        for name, status in matrix.statuses().items():
            _written(made, f"{matrix.collection('workspacedeployments')}/{name}/status", {"status": status})
        # The API server hears of the objects that a policy compares with some time after they were made.
        late = next(row for row in matrix.rows() if row.what.endswith("overrides of another node"))
        until = time.monotonic() + 60
        while matrix.sent(made, matrix.ACCOUNTS["admin"], late):
            assert time.monotonic() < until, "policy berth-overrides is not in force"
        yield made
        for path, obj in matrix.existing():
            one = f"{path}/{obj['metadata']['name']}"
            _written(made, one, {"metadata": {"finalizers": None}})
            made("", "DELETE", one, dry=False)


def _written(ask: Asking, path: str, body: Object) -> None:
    answer = ask("", "PATCH", path, body, dry=False)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("who", matrix.ACCOUNTS)
def test_everybody_may_do_what_the_matrix_says_and_nothing_else(ask: Asking, who: str) -> None:
    may, wrong = 0, []
    for row in matrix.rows():
        allowed = matrix.sent(ask, matrix.ACCOUNTS[who], row)
        may += allowed
        if allowed != (who in row.may):
            wrong.append(f"{'yes' if allowed else 'no'} to: {row.what}")
    assert not wrong
    assert may == sum(who in row.may for row in matrix.rows())


def test_the_administrator_of_the_cluster_is_refused_nothing_but_what_nobody_may(ask: Asking) -> None:
    """So every request is a good one: what others are refused, a right or a policy refuses them."""
    wrong = []
    for row in matrix.rows():
        if "/proxy/" in row.path or "/pods/matrix/" in row.path:
            continue  # there is no such container to get into
        if not matrix.sent(ask, "", row):
            wrong.append(row.what)
    assert wrong == NOBODYS


NOBODYS = [
    "create reservations with a claim inside",
    *(
        f"{verb} overrides of {what}"
        for what in ("another node", "another number of devices", "what is no device")
        for verb in ("create workspacedeployments with", "give a deployment")
    ),
]
