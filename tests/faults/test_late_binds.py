"""A bind whose writes arrive when its lease was given back starts nothing.

So it goes with a leader whose virtual machine was paused: its clock stood still, and it takes itself for the leader.
Here its writes are held, and the test does meanwhile what the next leader does.
"""

from datetime import UTC, datetime

import pytest

from berth_core.ids import uuid7
from berth_core.kube.model import timestamp
from berth_core.leases import leasing
from berth_core.leases.availability import Lease

from ..envtest.operator.lab import DEPLOYMENTS, INSTANCES, KEY, PODS, TYPES
from .scenarios import free
from .stage import Replica, Stage
from .waiting import until

pytestmark = [pytest.mark.apiserver, pytest.mark.release(twin="tests/envtest/operator/test_late.py")]

ENDED = {"type": "Ended", "status": "True", "reason": "Terminated", "message": "", "observedGeneration": 1}


async def goes_on(stage: Stage, leader: Replica, *, before: int) -> None:
    """Let the write that is held arrive, past those before it, and wait for all that follows."""
    leader.proxy.let_go()
    await until(lambda: len(leader.proxy.writes) > before, "the held write is answered", 20)
    await stage.silent(leader, quiet=1.5)


async def test_a_bind_that_arrives_after_the_give_back_makes_no_pod(stage: Stage) -> None:
    leader = await stage.start()
    await stage.leads(leader)
    await free(stage)
    await stage.silent(leader)
    lab, now = stage.lab, datetime.now(UTC)
    name = uuid7(int(now.timestamp() * 1000))
    lease = await leasing.take(lab.client, lab.namespace, "one", instance=name, user="ada", now=now)
    await stage.silent(leader)  # the deployment's condition: what follows is the bind
    leader.proxy.hold_at(1, lambda: None)
    spec = {"user": "ada", "sshKeys": [KEY], "workspaceType": "bench", "claim": {"deployment": "one", "epoch": 1}}
    await lab.create(INSTANCES, name, spec, finalizers=["berth.dev/fence"])
    await leader.proxy.struck.wait()
    await leasing.give_back(
        lab.client, lab.namespace, Lease("one", lease.epoch), instance=name, completed=False, now=now
    )
    over = timestamp(now)
    ended = {"endTime": over, "reason": "Terminated", "conditions": [ENDED | {"lastTransitionTime": over}]}
    await lab.status_patch(INSTANCES, name, {"id": name, **ended})
    await goes_on(stage, leader, before=0)
    made = [write.path for write in leader.proxy.writes if write.method == "POST" and write.path.endswith("/pods")]
    assert made == [], "its Secrets are there again: this pod would start, whoever has the machine"
    assert (await lab.client.list(PODS, lab.namespace))[0] == []


async def test_a_warm_pod_is_not_made_for_an_epoch_that_is_over(stage: Stage) -> None:
    leader = await stage.start()
    await stage.leads(leader)
    await free(stage)
    await stage.silent(leader)
    lab, now = stage.lab, datetime.now(UTC)
    # After the Service, which comes first, the Secrets and the NetworkPolicy.
    leader.proxy.hold_at(2, lambda: None)
    await lab.client.patch(TYPES, lab.namespace, "bench", {"spec": {"warm": True}})
    await leader.proxy.struck.wait()
    # Its lease was taken and given back meanwhile.
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"lockout": True}})
    held = {"instance": "nobody", "user": "ada", "claimedAt": timestamp(now)}
    await lab.status_patch(DEPLOYMENTS, "one", {"epoch": 1, "lease": held})
    await lab.status_patch(DEPLOYMENTS, "one", {"lease": None})
    await goes_on(stage, leader, before=1)
    made = [write.path for write in leader.proxy.writes if write.method == "POST" and write.path.endswith("/pods")]
    assert made == [], "nobody can have the epoch that it was made for"
