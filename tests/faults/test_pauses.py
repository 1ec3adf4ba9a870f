"""A process that is stopped at one of its writes, for so long that others act in its place, does no harm afterwards."""

import asyncio
import signal
from pathlib import Path

import httpx
import pytest

from berth_cluster.apiserver import ApiServer
from berth_cluster.testing import make_namespaces

from ..cluster.operator_process.lab import DEPLOYMENTS, INSTANCES, KEY, condition
from .release import Release, release
from .scenarios import SCENARIOS, Scenario, has_ended
from .stage import Replica, Stage
from .test_kills import undisturbed

pytestmark = pytest.mark.apiserver

PAUSED = [scenario for scenario in SCENARIOS if scenario.name in ("launch", "teardown", "firewall", "turn")]
POINTS = 3
"""Writes of a POST /new at the least: the lease, the private key, the Instance."""


async def stopped_after(stage: Stage, scenario: Scenario, write: int, leader: Replica, heir: Replica) -> bool:
    """Play it with a stop, in which the other replica takes over and comes to the end; then let the first go on."""
    await scenario.before(stage)
    await stage.settled(leader, quiet=0.4)
    leader.proxy.strike_after(write, lambda: leader.process.send_signal(signal.SIGSTOP))
    acting = asyncio.ensure_future(scenario.act(stage))
    try:
        await asyncio.wait_for(leader.proxy.struck.wait(), 20)
    except TimeoutError:
        leader.proxy.spare()
        await acting
        return False
    await stage.leads(heir)
    await acting
    await scenario.over(stage)
    leader.process.send_signal(signal.SIGCONT)
    return True


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", PAUSED, ids=lambda scenario: scenario.name)
async def test_a_leader_that_was_stopped_after_a_write_does_no_harm(stage: Stage, scenario: Scenario) -> None:
    leader, heir = await stage.pair()
    wanted = await undisturbed(stage, scenario, leader)
    await stage.clear()
    for write in range(1, scenario.points + 1):
        assert await stopped_after(stage, scenario, write, leader, heir), f"write {write} never came"
        leader, heir = heir, leader
        await stage.settled(heir)
        await stage.comes_to(wanted, leader, after=f"{scenario.name}: a stop after write {write}")
        await stage.leads(leader)
        await stage.clear()


async def paused(made: Release, write: int, user: httpx.AsyncClient, other: httpx.AsyncClient) -> int:
    """Stop an API process after a write of a launch until the lease is given back; how many writes there were."""
    wd, kind = f"robot-{write}", f"robot_{write}"
    first, second = made.apis[write], made.apis[0]
    await made.lab.type(kind)
    await made.lab.deployment(wd, kind)
    await made.listed(user, kind, 1)
    first.proxy.strike_after(write, lambda: first.process.send_signal(signal.SIGSTOP))
    asking = asyncio.ensure_future(user.post(f"{first.url}/new/{kind}"))
    await asyncio.wait_for(first.proxy.struck.wait(), 20)
    theirs = ""
    if write < POINTS:
        await made.lab.until(DEPLOYMENTS, wd, lambda o: condition(o, "Available") == "Free", seconds=50)
        taken = await other.post(f"{second.url}/new/{kind}", json={"sshkey": KEY})
        assert taken.status_code == 200, taken.text
        theirs = taken.json()["id"]
        await made.lab.until(INSTANCES, theirs, lambda o: condition(o, "Bound", "status") == "True")
    else:
        await made.lab.until(DEPLOYMENTS, wd, lambda o: "lease" in o["status"])
    first.process.send_signal(signal.SIGCONT)
    answer = await asking
    assert answer.status_code in (200, 503), answer.text
    instances, _ = await made.lab.client.list(INSTANCES, made.lab.namespace, fields={"spec.user": "ada"})
    for mine in (o["metadata"]["name"] for o in instances if o["spec"]["deployments"] == [wd]):
        if theirs:
            ended = await made.lab.until(INSTANCES, mine, has_ended, seconds=20)
            assert ended["status"]["reason"] == "ClaimLost"
        else:
            await made.lab.until(INSTANCES, mine, lambda o: condition(o, "Bound", "status") == "True")
    lease = await made.lab.lease(wd)
    assert lease is not None
    assert not theirs or lease["instance"] == theirs
    return len(first.proxy.writes)


@pytest.mark.long
async def test_an_api_process_that_was_stopped_after_a_write_takes_nothing_from_the_next_holder(
    apiserver: ApiServer, tmp_path: Path
) -> None:
    namespaces = await asyncio.to_thread(make_namespaces, apiserver)
    async with (
        release(apiserver, namespaces, tmp_path / "release") as made,
        made.user("ada", timeout=90) as user,
        made.user("bob") as other,
    ):
        await made.operate()
        for _ in range(POINTS + 1):
            await made.serve()
        counts = await asyncio.gather(*(paused(made, write, user, other) for write in range(1, POINTS + 1)))
        assert max(counts) >= POINTS, f"{counts} writes were found: {POINTS} there must be"
