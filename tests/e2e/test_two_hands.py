"""A robot is never in two hands: what two users get out of one deployment, lease after lease, with faults between.

Each round one user holds the deployment, with a shell in which something is said 50 times a second, and the other has
reserved it. The holder gives it back, a fault comes at some moment, and the other logs in as soon as that is possible.
Nothing may be heard of the earlier shell from then on, and the earlier holder's key must open nothing.
"""

import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping

import pytest
from lab import NAMESPACE, Lab, Person
from passing import TURN_SECONDS, door, lent_to_nobody_else
from promised import is_exact
from session import Session
from test_exclusive import kill_leading_operator
from test_no_gap import asks_until_answered

pytestmark = pytest.mark.invariant

log = logging.getLogger(__name__)

ROUNDS = int(os.environ.get("FAULTS_LEASES") or (4 if is_exact() else 1))
SEED = int(os.environ.get("FAULTS_SEED") or 5)
"""The first round of this one kills the operator."""
TYPE = "two_hands"
LATEST_FAULT_SECONDS = 1.5


def nothing(_lab: Lab, _instance: str) -> None:
    """Leave all as it is."""


def operator(lab: Lab, _instance: str) -> None:
    """Kill the leading operator."""
    kill_leading_operator(lab)


def apis(lab: Lab, _instance: str) -> None:
    """Kill both replicas of the API at once."""
    lab.kubectl(
        *("delete", "pods", "-n", "berth", "-l", "app.kubernetes.io/component=api", "--force", "--grace-period=0")
    )


def eviction(lab: Lab, instance: str) -> None:
    """Let the workspace's pod be deleted by somebody else, if it is still there."""
    lab.kubectl("delete", "pod", f"i-{instance}", "-n", NAMESPACE, "--ignore-not-found", "--wait=false")


FAULTS: Mapping[str, Callable[[Lab, str], None]] = {
    "nothing": nothing,
    "operator killed": operator,
    "both replicas of the API killed": apis,
    "pod deleted": eviction,
}


@pytest.fixture(scope="module")
def deployment(lab: Lab) -> Iterator[str]:
    with lent_to_nobody_else(lab, TYPE) as name:
        yield name


@pytest.mark.timeout(120 + 30 * ROUNDS)
def test_two_users_are_never_both_inside(lab: Lab, ada: Person, bob: Person, deployment: str) -> None:
    chance = random.Random(SEED)  # noqa: S311 (the same)
    where = f"/new/{lab.get('wd', deployment)['status']['id']}"
    holder, waiter = ada, bob
    instance = holder.takes(where.removeprefix("/new/"))
    for number in range(ROUNDS):
        fault = chance.choice(sorted(FAULTS))
        moment = chance.uniform(0.0, LATEST_FAULT_SECONDS)
        said = f"seed {SEED}, round {number}: {fault} after {moment:.2f} s"
        log.info(said)
        asked = waiter.asks("POST", where, {"sshkey": waiter.public_key(), "reserve": True})
        assert (asked.status, asked.json["success"]) == (200, False), f"{said}: {asked.text}"
        old = door(lab, instance)
        with Session(holder, old) as before:
            assert before.gets_in(), said
            assert holder.asks("POST", f"/terminate/{instance}").status == 200
            time.sleep(moment)  # the moment is what differs
            FAULTS[fault](lab, instance)
            lab.wait(f"wd/{deployment}", f"jsonpath={{.status.lease.user}}={waiter.name}", TURN_SECONDS)
            instance = lab.get("wd", deployment)["status"]["lease"]["instance"]
            lab.wait(f"instance/{instance}", "create", TURN_SECONDS)  # the lease is taken before it is made
            lab.wait(f"instance/{instance}", "condition=Ready", TURN_SECONDS)
            new = door(lab, instance)
            with Session(waiter, new) as after:
                assert after.gets_in(), said
                lab.kubectl("rollout", "status", "deployment/berth-api", "-n", "berth", "--timeout=60s")
                asks_until_answered(waiter, instance)  # nodes may hear of new replicas later than the Deployment
                assert waiter.asks("POST", f"/firewall/{instance}", {"src": holder.address()}).status == 200
                holder.probe(new, "open")
                for tried in (old, new):
                    assert holder.ssh(tried, "true").returncode == 255, f"{said}: the earlier key opens"
                assert before.last_at < after.first_at, f"{said}: the earlier shell went on"
                assert after.last_at > after.first_at, said
        holder, waiter = waiter, holder
    holder.ends(instance)
