"""How far a build is, told by Deliveries: one for each step, made once, and made before the build is over."""

import json

import pytest

from berth_core.kube.types import Object

from .builds import CI, COMMIT, build, found, is_over, project, started
from .lab import BUILDS, DELIVERIES, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver

TOLD = {
    "statusURL": "https://hub.example.org/repos/lab/arm/statuses/{sha}",
    "provider": "github",
    "secret": "hub-token",
}


async def told(lab: Lab) -> list[Object]:
    """Specs of the Deliveries, in their order."""
    objects, _ = await lab.client.list(DELIVERIES, lab.namespace)
    return sorted((obj["spec"] for obj in objects), key=lambda spec: int(spec["sequence"]))


async def test_each_step_is_told_once_over_restarts_of_operator_and_build(lab: Lab, operators: Operators) -> None:
    operators.start(**CI)
    await project(lab, commitStatus=TOLD)
    uid = await build(lab, "one", commit=COMMIT)
    await started(lab, uid, "fetch")
    assert await told(lab) == [], "the repository has not shown that it has the commit"
    await found(lab, uid)
    await started(lab, uid, "run")
    await lab.client.patch(BUILDS, lab.namespace, "one", {"spec": {"cancel": 1}})
    over = await is_over(lab, "one")
    assert condition(over, "Told", "status") == "True"
    first = await told(lab)
    assert [json.loads(spec["payload"])["state"] for spec in first][-1] == "error"
    assert {spec["url"] for spec in first} == {f"https://hub.example.org/repos/lab/arm/statuses/{COMMIT}"}
    assert [spec["sequence"] for spec in first] == [12, 13]
    assert {(spec["form"], spec["tokenSecret"], spec["user"], spec["build"]) for spec in first} == {
        ("github", "hub-token", "ada", uid)
    }
    # No leader makes a Delivery again that the notifier has deleted after its retention.
    for spec in first:
        name = f"status-{uid}-1-{spec['sequence'] % 10}"
        await lab.client.delete(DELIVERIES, lab.namespace, name)
    operators.stop_all()
    operators.start(**CI)
    await lab.client.patch(BUILDS, lab.namespace, "one", {"spec": {"attempt": 2}})
    await found(lab, uid, attempt=2)
    await lab.until(BUILDS, "one", lambda o: "-2-" in (condition(o, "Told", "message") or ""))
    again = await told(lab)
    assert again[0]["sequence"] > 20
    assert all(json.loads(spec["payload"])["state"] == "pending" for spec in again)
