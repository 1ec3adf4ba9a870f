"""The end of a lease, where no node is needed to prove it: pods that were never bound to one."""

from datetime import UTC, datetime, timedelta

import pytest

from berth_core.kube.types import Object
from berth_core.leases import leasing
from berth_core.leases.availability import Lease

from .lab import INSTANCES, PODS, POLICIES, SECRETS, SERVICES, Lab, condition

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("operator")]


def is_bound(obj: Object) -> bool:
    return condition(obj, "Bound", "status") == "True"


def has_ended(obj: Object) -> bool:
    return condition(obj, "Ended", "status") == "True"


async def bound(lab: Lab) -> Object:
    """An Instance `mine` that has the deployment `one`, with its pod."""
    await lab.type()
    await lab.deployment("one")
    await lab.instance("mine", workspaceType="bench", requesterAddress="198.51.100.7")
    made = await lab.until(INSTANCES, "mine", is_bound)
    await lab.until(PODS, f"i-{made['metadata']['uid']}", bool)
    return made


async def test_what_is_terminated_leaves_nothing_and_frees_its_deployment(lab: Lab) -> None:
    uid = (await bound(lab))["metadata"]["uid"]
    await lab.client.create(
        SECRETS,
        lab.namespaces.access,
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"i-{uid}"}, "stringData": {"id_rsa": "x"}},
    )
    await lab.client.patch(INSTANCES, lab.namespace, "mine", {"spec": {"terminate": True}})
    ended = await lab.until(INSTANCES, "mine", has_ended)
    assert (ended["status"]["reason"], condition(ended, "Ended")) == ("Terminated", "Terminated")
    assert ended["status"]["endTime"]
    assert await lab.lease("one") is None
    for kind, name in (
        (PODS, f"i-{uid}"),
        (SERVICES, f"i-{uid}"),
        (POLICIES, f"i-{uid}"),
    ):
        assert await lab.absent(kind, name), f"{kind.plural}/{name} is still there"
    assert await lab.secrets(uid) == []
    assert await lab.absent(SECRETS, f"i-{uid}", lab.namespaces.access)
    assert not await lab.absent(INSTANCES, "mine"), "an ended Instance stays as history"


async def test_a_deleted_instance_is_gone_only_after_its_lease(lab: Lab) -> None:
    await bound(lab)
    await lab.client.delete(INSTANCES, lab.namespace, "mine")
    await lab.until_gone(INSTANCES, "mine")
    assert await lab.lease("one") is None


async def test_a_pod_that_no_node_can_run_fails_the_start_and_frees_the_deployment(lab: Lab) -> None:
    uid = (await bound(lab))["metadata"]["uid"]
    since = (datetime.now(UTC) - timedelta(seconds=30)).isoformat(timespec="seconds").replace("+00:00", "Z")
    # The word of a scheduler, which this tier has none of.
    unschedulable = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/2 nodes are available: 2 node(s) didn't match",
        "lastTransitionTime": since,
    }
    await lab.status_patch(PODS, f"i-{uid}", {"conditions": [unschedulable]})
    ended = await lab.until(INSTANCES, "mine", has_ended)
    assert ended["status"]["reason"] == "StartFailed"
    assert "0/2 nodes are available" in ended["status"]["message"]
    assert await lab.lease("one") is None


async def test_a_pod_that_somebody_deletes_is_made_again_under_the_same_lease(lab: Lab) -> None:
    made = await bound(lab)
    name = f"i-{made['metadata']['uid']}"
    first = await lab.get(PODS, name)
    await lab.client.delete(PODS, lab.namespace, name)
    again = await lab.until(PODS, name, lambda o: o["metadata"]["uid"] != first["metadata"]["uid"], seconds=20)
    assert again["metadata"]["labels"]["berth.dev/epoch"] == "1"
    assert (await lab.get(INSTANCES, "mine"))["status"]["hostKeys"] == made["status"]["hostKeys"]


async def test_an_instance_that_is_terminated_while_it_waits_ends_without_a_lease(lab: Lab) -> None:
    await lab.type()
    await lab.instance("mine", workspaceType="bench")
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound") == "Waiting", seconds=30)
    await lab.client.patch(INSTANCES, lab.namespace, "mine", {"spec": {"terminate": True}})
    ended = await lab.until(INSTANCES, "mine", has_ended)
    assert ended["status"].get("epoch") is None


async def test_a_lease_that_is_taken_away_ends_the_instance(lab: Lab) -> None:
    made = await bound(lab)
    lease = Lease("one", 1)
    await leasing.give_back(
        lab.client, lab.namespace, lease, instance=made["metadata"]["uid"], completed=False, now=datetime.now(UTC)
    )
    ended = await lab.until(INSTANCES, "mine", has_ended)
    assert ended["status"]["reason"] == "ClaimLost"
