"""One holder at a time while parts of the cluster do not hear each other: kubelets, agents, operators that overlap."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from lab import NAMESPACE, Lab, Person
from mishaps import agents_cut_off, beside, kubelet_stopped, leader, leader_stopped, node_of
from session import Session
from test_two_hands import TEMPLATE, door

from berth_cluster.testing import BerthCluster

TYPE = "cut_off"
TURN_SECONDS = 60


@pytest.fixture
def deployment(lab: Lab) -> Iterator[str]:
    """The name of a deployment that nobody else uses."""
    name = lab.makes_type(TYPE, TEMPLATE)
    yield name
    lab.kubectl("delete", "reservations", "--all", "-n", NAMESPACE)  # of a test that failed
    lab.kubectl("delete", f"wd/{name}", f"wt/{name}", "-n", NAMESPACE, "--wait=false")


def queues(lab: Lab, waiter: Person, deployment: str) -> None:
    """Get in line for a deployment that somebody has."""
    where = f"/new/{lab.get('wd', deployment)['status']['id']}"
    asked = waiter.asks("POST", where, {"sshkey": waiter.public_key(), "reserve": True})
    assert (asked.status, asked.json["success"]) == (200, False), asked.text


@contextmanager
def held_and_awaited(lab: Lab, holder: Person, waiter: Person, deployment: str) -> Iterator[tuple[str, Any, Session]]:
    """A lease with a shell in it, for whose deployment another waits: the instance, its door, the shell."""
    instance = holder.takes(TYPE)
    old = door(lab, instance)
    queues(lab, waiter, deployment)
    with Session(holder, old) as before:
        assert before.gets_in()
        yield instance, old, before


def passes_to(lab: Lab, waiter: Person, deployment: str) -> str:
    """Wait until the lease is another's, and return that one's instance."""
    lab.wait(f"wd/{deployment}", f"jsonpath={{.status.lease.user}}={waiter.name}", TURN_SECONDS)
    instance = str(lab.get("wd", deployment)["status"]["lease"]["instance"])
    lab.wait(f"instance/{instance}", "create", TURN_SECONDS)  # the lease is taken before it is made
    return instance


def gets_in_alone(lab: Lab, waiter: Person, instance: str, holder: Person, before: Session, old: Any) -> None:
    """Show that the next holder's shell opens, and that nothing of the earlier one's was heard from then on."""
    lab.wait(f"instance/{instance}", "condition=Ready", TURN_SECONDS)
    new = door(lab, instance)
    with Session(waiter, new) as after:
        assert after.gets_in()
        assert waiter.asks("POST", f"/firewall/{instance}", {"src": holder.address()}).status == 200
        holder.probe(new, "open")
        assert [holder.ssh(tried, "true").returncode for tried in (old, new)] == [255, 255], "the earlier key opens"
        assert before.last_at < after.first_at, "the earlier shell went on"


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
            assert ada.ssh(old, "true").returncode == 255, "what has ended lets somebody in"
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
