"""One holder at a time while parts of the cluster do not hear each other: kubelets, agents, operators that overlap."""

from collections.abc import Iterator

import pytest
from lab import Lab, Person
from mishaps import agents_cut_off, beside, kubelet_stopped, leader, leader_stopped, node_of
from passing import TURN_SECONDS, gets_in_alone, held_and_awaited, lent_to_nobody_else, passes_to

from berth_dev.envtest.testing import BerthCluster


@pytest.fixture
def deployment(lab: Lab) -> Iterator[str]:
    with lent_to_nobody_else(lab, "cut_off") as name:
        yield name


@pytest.mark.release(twin="tests/envtest/operator/test_silent_node.py")
def test_a_machine_whose_kubelet_is_stopped_passes_to_nobody_until_it_is_heard_again(
    lab: Lab, cluster: BerthCluster, ada: Person, bob: Person, deployment: str
) -> None:
    with held_and_awaited(lab, ada, bob, deployment) as (instance, old, before):
        epoch = lab.get("wd", deployment)["status"]["epoch"]
        node = node_of(lab, instance)
        with kubelet_stopped(lab, cluster, node):
            assert beside(ada, node).asks("POST", f"/terminate/{instance}").status == 200
            lab.wait(f"wd/{deployment}", "condition=Quarantined", TURN_SECONDS)
            status = lab.get("wd", deployment)["status"]
            assert (status["lease"]["instance"], status["epoch"]) == (instance, epoch)
            assert ada.ssh(old, "true").returncode == 255, "an ended instance lets somebody in"
        gets_in_alone(lab, bob, following := passes_to(lab, bob, deployment), ada, before, old)
    bob.ends(following)


def test_a_lease_ends_and_passes_on_while_the_operator_reaches_no_agent(
    lab: Lab, ada: Person, bob: Person, deployment: str
) -> None:
    with held_and_awaited(lab, ada, bob, deployment) as (instance, old, before):
        with agents_cut_off():
            assert ada.asks("DELETE", f"/firewall/{instance}").status == 200
            lab.wait(f"instance/{instance}", "condition=NetworkReady=False", TURN_SECONDS)
            assert ada.asks("POST", f"/terminate/{instance}").status == 200
            following = passes_to(lab, bob, deployment)
        gets_in_alone(lab, bob, following, ada, before, old)
    bob.ends(following)


@pytest.mark.release(twin="tests/envtest/operator/test_leading.py")
def test_a_leader_that_goes_on_when_another_leads_takes_nothing_from_the_next_holder(
    lab: Lab, ada: Person, bob: Person, deployment: str
) -> None:
    with held_and_awaited(lab, ada, bob, deployment) as (instance, old, before):
        assert ada.asks("POST", f"/terminate/{instance}").status == 200
        with leader_stopped(lab):
            leads = leader(lab)
            following = passes_to(lab, bob, deployment)
        gets_in_alone(lab, bob, following, ada, before, old)
        assert leader(lab) == leads
    bob.ends(following)
