"""One holder at a time while nodes are drained, deleted and come back, or run out of disk."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from lab import Lab, Person
from mishaps import cordoned, disk_nearly_full, drained, kubelet_of, node_deleted, node_of, stopped
from passing import TURN_SECONDS, door, gets_in_alone, held_and_awaited, lent_to_nobody_else, passes_to
from session import Session

from berth_core import names
from berth_dev.cluster.network import NODES
from berth_dev.envtest.testing import BerthCluster

pytestmark = [pytest.mark.long, pytest.mark.release(twin="tests/envtest/operator/test_silent_node.py")]

STAYS, GOES = (node.name for node in NODES)
"""People ask the API on the first node."""
COLLECTED = "jsonpath={.status.conditions[?(@.type=='DisruptionTarget')].reason}=DeletionByPodGC"
COLLECTED_SECONDS = 120
GIBIBYTE = 2**30


@pytest.fixture
def deployment(lab: Lab) -> Iterator[str]:
    # A kubelet evicts first what uses most beyond its request.
    with lent_to_nobody_else(lab, "lost_node", resources={"requests": {"ephemeral-storage": "64Mi"}}) as name:
        yield name


@contextmanager
def held_there(lab: Lab, holder: Person, waiter: Person, deployment: str) -> Iterator[tuple[str, Any, Session]]:
    """A lease on the node that goes, for whose deployment another waits: the instance, its door, a shell in it."""
    with ExitStack() as opened:
        with cordoned(lab, STAYS):
            held = opened.enter_context(held_and_awaited(lab, holder, waiter, deployment))
        assert node_of(lab, held[0]) == GOES
        yield held


def lease(lab: Lab, deployment: str) -> tuple[Any, Any]:
    """Return the instance that has a deployment, and its epoch."""
    status = lab.get("wd", deployment)["status"]
    return status.get("lease", {}).get("instance"), status["epoch"]


def ends_and_passes(lab: Lab, holder: Person, waiter: Person, deployment: str, held: tuple[str, Any, Session]) -> str:
    """End the lease, and show that the waiter gets the machine alone; the waiter's instance."""
    instance, old, before = held
    assert holder.asks("POST", f"/terminate/{instance}").status == 200
    gets_in_alone(lab, waiter, following := passes_to(lab, waiter, deployment), holder, before, old)
    return following


@pytest.mark.timeout(400)
def test_a_drain_waits_for_the_lease_and_the_next_holder_is_elsewhere(
    lab: Lab, ada: Person, bob: Person, deployment: str
) -> None:
    with held_there(lab, ada, bob, deployment) as (instance, old, before):
        epoch = lab.get("wd", deployment)["status"]["epoch"]
        with drained(lab, GOES) as draining:
            assert draining.stderr is not None
            refusals = (line for line in draining.stderr if f"i-{instance}" in line and "disruption budget" in line)
            assert next(refusals, None), "the drain did not wait"
            assert lease(lab, deployment) == (instance, epoch)
            assert ada.ssh(old, "echo", "aboard").stdout == "aboard\n"
            assert ada.asks("POST", f"/terminate/{instance}").status == 200
            following = passes_to(lab, bob, deployment)
            gets_in_alone(lab, bob, following, ada, before, old)
            assert node_of(lab, following) == STAYS
            draining.communicate(timeout=120)
            assert draining.returncode == 0, "the drain did not come to its end"
    bob.ends(following)
    assert lab.leftovers(instance) == []


@pytest.mark.timeout(400)
def test_a_drain_does_not_wait_for_a_pod_that_is_kept_warm(lab: Lab) -> None:
    def node_of_warm(pod: str) -> str:
        lab.wait(f"pod/{pod}", "create", 90)
        lab.wait(f"pod/{pod}", "condition=Ready", 60)
        return str(lab.get("pod", pod)["spec"]["nodeName"])

    with ExitStack() as opened:
        with cordoned(lab, STAYS):
            deployment = opened.enter_context(lent_to_nobody_else(lab, "moves_warm", warm=True))
            pod = names.warm_object(lab.get("wd", deployment)["status"]["id"], 1)
            assert node_of_warm(pod) == GOES
        with drained(lab, GOES) as draining:
            draining.communicate(timeout=120)
            assert draining.returncode == 0, "the drain did not come to its end"
            assert node_of_warm(pod) == STAYS


@pytest.mark.timeout(500)
def test_a_lease_outlives_its_node_and_goes_on_when_that_is_back(
    lab: Lab, cluster: BerthCluster, ada: Person, bob: Person, deployment: str
) -> None:
    with held_there(lab, ada, bob, deployment) as held:
        instance = held[0]
        had, ready = lease(lab, deployment), lab.readiness(instance)
        with node_deleted(lab, cluster, GOES):
            lab.wait(f"pod/i-{instance}", COLLECTED, COLLECTED_SECONDS)
            assert lease(lab, deployment) == had
        lab.wait_again(instance, ready)
        assert lease(lab, deployment) == had
        assert ada.ssh(door(lab, instance), "echo", "aboard").stdout == "aboard\n"
        following = ends_and_passes(lab, ada, bob, deployment, held)
    bob.ends(following)
    assert lab.leftovers(instance) == []


@pytest.mark.timeout(500)
def test_a_machine_whose_node_is_deleted_while_it_is_silent_passes_to_nobody_until_it_is_heard_again(
    lab: Lab, cluster: BerthCluster, ada: Person, bob: Person, deployment: str
) -> None:
    with held_there(lab, ada, bob, deployment) as (instance, old, before):
        had = lease(lab, deployment)
        with stopped(kubelet_of(cluster, GOES)), node_deleted(lab, cluster, GOES):
            assert ada.asks("POST", f"/terminate/{instance}").status == 200
            lab.wait(f"pod/i-{instance}", COLLECTED, COLLECTED_SECONDS)
            lab.wait(f"wd/{deployment}", "condition=Quarantined", TURN_SECONDS)
            assert lease(lab, deployment) == had
            assert ada.ssh(old, "true").returncode == 255, "an ended instance lets somebody in"
        gets_in_alone(lab, bob, following := passes_to(lab, bob, deployment), ada, before, old)
    bob.ends(following)
    assert lab.leftovers(instance) == []


@pytest.mark.timeout(500)
def test_a_holder_who_fills_a_nodes_disk_is_evicted_and_keeps_the_lease_elsewhere(
    lab: Lab, cluster: BerthCluster, ada: Person, bob: Person, deployment: str
) -> None:
    with held_there(lab, ada, bob, deployment) as held:
        instance, old, _ = held
        had, ready = lease(lab, deployment), lab.readiness(instance)
        with disk_nearly_full(lab, cluster, GOES, left=2 * GIBIBYTE):
            assert ada.ssh(old, "fallocate", "-l", str(3 * GIBIBYTE), "/fill").returncode == 0
            lab.wait(f"node/{GOES}", "condition=DiskPressure", 60)
            lab.wait_again(instance, ready)
            assert (lease(lab, deployment), node_of(lab, instance)) == (had, STAYS)
            assert ada.ssh(door(lab, instance), "test", "!", "-e", "/fill").returncode == 0
        following = ends_and_passes(lab, ada, bob, deployment, held)
    bob.ends(following)
    assert lab.leftovers(instance) == []
