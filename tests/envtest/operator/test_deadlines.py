"""Effects of passing time. It passes once for all tests."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from berth_core.kube.types import Object
from berth_core.leases import leasing

from .lab import DEPLOYMENTS, INSTANCES, SECRETS, Lab, condition

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("operator")]

GHOST, OTHER_GHOST = "01900000-0000-7000-8000-00000000dead", "01900000-0000-7000-8000-00000000beef"


def secret(name: str, instance_id: str) -> Object:
    labels = {"berth.dev/instance": instance_id, "app.kubernetes.io/managed-by": "berth"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": labels}}


async def a_start_that_takes_too_long_fails(lab: Lab) -> None:
    await lab.instance("mine", deployments=["slow"])
    ended = await lab.until(INSTANCES, "mine", lambda o: condition(o, "Ended", "status") == "True", seconds=25)
    assert ended["status"]["reason"] == "StartFailed"
    assert "the pod is not scheduled" in ended["status"]["message"]
    assert await lab.lease("slow") is None


async def a_lease_whose_instance_does_not_exist_is_given_back_after_30_seconds(lab: Lab) -> None:
    await lab.client.create(SECRETS, lab.namespace, secret(f"i-{GHOST}-e1", GHOST))
    taken = datetime.now(UTC)
    of_a_slow_clock = taken - timedelta(seconds=40)
    await leasing.take(lab.client, lab.namespace, "haunted", instance=GHOST, user="eve", now=of_a_slow_clock)
    given = await lab.until(DEPLOYMENTS, "haunted", lambda o: condition(o, "Available") == "Free", seconds=60)
    assert datetime.now(UTC) - taken >= timedelta(seconds=30)
    assert given["status"]["epoch"] == 1
    assert await lab.absent(SECRETS, f"i-{GHOST}-e1")


async def a_private_key_without_an_instance_goes(lab: Lab) -> None:
    await lab.client.create(SECRETS, lab.namespaces.access, secret(f"i-{OTHER_GHOST}", OTHER_GHOST))
    await lab.until_gone(SECRETS, f"i-{OTHER_GHOST}", seconds=75, namespace=lab.namespaces.access)


@pytest.mark.release(twin="tests/unit/operator/leases/test_orphan.py")
async def test_what_is_overdue_is_ended_given_back_or_deleted(lab: Lab) -> None:
    await lab.type(limits={"startTimeout": 10})
    await lab.deployment("slow")
    await lab.deployment("haunted")
    await asyncio.gather(
        a_start_that_takes_too_long_fails(lab),
        a_lease_whose_instance_does_not_exist_is_given_back_after_30_seconds(lab),
        a_private_key_without_an_instance_goes(lab),
    )
