"""Ended objects are listed for a while, and then deleted in small batches."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from berth_core.ids import uuid7
from berth_core.kube.model import parse_time, timestamp
from berth_core.kube.types import Object
from berth_operator.sweeps.history import MOST_AT_ONCE

from .lab import DEPLOYMENTS, INSTANCES, RESERVATIONS, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver

KEPT = 8
LONG_AGO = timestamp(datetime.now(UTC) - timedelta(days=31))
FENCED = ["berth.dev/fence"]


def shown(kind: str, status: str, since: str) -> Object:
    return {"type": kind, "status": status, "reason": "Test", "message": "", "lastTransitionTime": since}


async def ended_long_ago(lab: Lab, number: int) -> str:
    """An Instance as the operator leaves it, its finalizer included."""
    name = await lab.instance(uuid7(number), deployments=["one"])
    await lab.client.patch(INSTANCES, lab.namespace, name, {"metadata": {"finalizers": FENCED}})
    status = {"endTime": LONG_AGO, "reason": "Expired", "conditions": [shown("Ended", "True", LONG_AGO)]}
    await lab.status_patch(INSTANCES, name, status)
    return name


async def reservation(lab: Lab, name: str, *conditions: Object) -> None:
    await lab.reservation(name, deployments=["two"], wish={"deployments": ["two"]})
    await lab.status_patch(RESERVATIONS, name, {"conditions": list(conditions)})


async def names(lab: Lab) -> set[str]:
    listed, _ = await lab.client.list(INSTANCES, lab.namespace, metadata_only=True)
    return {obj["metadata"]["name"] for obj in listed}


@pytest.mark.release(twin="tests/unit/operator/sweeps/test_retention.py")
async def test_history_goes_after_the_retention_and_the_count_stays(lab: Lab, operators: Operators) -> None:
    old = set(await asyncio.gather(*(ended_long_ago(lab, n) for n in range(MOST_AT_ONCE + 20))))
    await reservation(lab, "had", shown("Fulfilled", "True", LONG_AGO))
    await reservation(lab, "refused", shown("Fulfilled", "False", LONG_AGO))
    await reservation(lab, "waits", shown("Waiting", "True", LONG_AGO))
    operators.start(BERTH_HISTORY_RETENTION=f"{KEPT}s")
    await lab.type()
    await lab.deployment("one")
    await lab.status_patch(DEPLOYMENTS, "one", {"instances": 41})
    await lab.instance("mine", deployments=["one"])
    bound = await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound", "status") == "True")
    await lab.status_patch(INSTANCES, "mine", {"readyTime": bound["status"]["startTime"]})
    await lab.client.patch(INSTANCES, lab.namespace, "mine", {"spec": {"terminate": True}})
    over = await lab.until(INSTANCES, "mine", lambda o: condition(o, "Ended", "status") == "True")
    ended = parse_time(over["status"]["endTime"])

    for name in sorted(old):
        await lab.until_gone(INSTANCES, name, seconds=20)
    await lab.until_gone(RESERVATIONS, "had")
    await lab.until_gone(RESERVATIONS, "refused")
    await lab.until_gone(INSTANCES, "mine", seconds=KEPT + 10)
    assert datetime.now(UTC) - ended >= timedelta(seconds=KEPT)
    assert await names(lab) == set()
    assert (await lab.get(RESERVATIONS, "waits"))["spec"]["user"] == "ada"
    assert (await lab.get(DEPLOYMENTS, "one"))["status"]["instances"] == 42
