"""The operator is killed right after each of its writes in turn: the next one comes to the same end."""

import asyncio
import random
from collections.abc import Awaitable, Sequence

import pytest

from ..conftest import is_long
from .scenarios import SCENARIOS, Scenario
from .seeds import SEED
from .stage import Replica, Stage
from .waiting import until

pytestmark = [pytest.mark.apiserver, pytest.mark.release(twin="tests/sim/test_histories.py")]

LAST_SECONDS = 30.0
"""In which the last writes come that there must be, some of them after the end, on a busy machine too."""


async def undisturbed(stage: Stage, scenario: Scenario, leader: Replica) -> list[str]:
    """Play it, and see what there is in the end."""
    await scenario.before(stage)
    await stage.silent(leader)
    leader.proxy.forget()
    await scenario.act(stage)
    await scenario.over(stage)
    writes, quiet_for = leader.proxy.writes, leader.proxy.quiet_for
    await until(
        lambda: len(writes) >= scenario.points or quiet_for() >= LAST_SECONDS, "all is written", 2 * LAST_SECONDS
    )
    return await stage.settled(leader, quiet=1.5)


async def killed_after(stage: Stage, scenario: Scenario, write: int, leader: Replica, heir: Replica) -> bool:
    """Play it with a kill; False where it was over before there were so many writes."""
    await scenario.before(stage)
    await stage.silent(leader, quiet=0.4)
    leader.proxy.kill_after(write, leader.process)
    acting = asyncio.ensure_future(scenario.act(stage))
    over = asyncio.ensure_future(_after(acting, scenario.over(stage)))
    struck = asyncio.ensure_future(leader.proxy.struck.wait())
    await asyncio.wait([over, struck], return_when=asyncio.FIRST_COMPLETED, timeout=30)
    if not struck.done():
        # Writes after the end, such as the last conditions: those that must come may be late.
        await asyncio.wait([struck], timeout=LAST_SECONDS if write <= scenario.points else 1.5)
    if struck.done():
        await stage.bury(leader)
        await stage.leads(heir)
    else:
        struck.cancel()
        leader.proxy.spare()
    await over
    return struck.done() and not struck.cancelled()


async def _after(acting: "asyncio.Future[None]", over: Awaitable[None]) -> None:
    await acting
    await over


async def plays_on(stage: Stage, scenario: Scenario, leader: Replica, heir: Replica) -> tuple[Replica, Replica]:
    """Play a scenario undisturbed, and then with each of the kills; who leads and who waits in the end."""
    wanted = await undisturbed(stage, scenario, leader)
    log = list(leader.proxy.writes)
    await stage.clear()
    assert len(log) >= scenario.points, f"{len(log)} writes were found, {scenario.points} there must be: {log}"
    for write in chosen(scenario, len(log)):
        after = f"{scenario.name}: a kill after write {write} of {len(log)}, {log[write - 1]}, FAULTS_SEED={SEED},"
        if not await killed_after(stage, scenario, write, leader, heir):
            # Writes that others made needless, such as the report of what is told together with the next.
            assert write > scenario.points, f"{after} was not possible: the write never came"
            await stage.clear()
            break
        leader, heir = heir, await stage.start()
        await stage.comes_to(wanted, leader, after=after)
        await stage.clear()
    return leader, heir


def chosen(scenario: Scenario, writes: int) -> Sequence[int]:
    """All writes; in the short form two of those that there must be, which the seed says."""
    if is_long():
        return range(1, writes + 1)
    return sorted(random.Random(f"{SEED} {scenario.name}").sample(range(1, scenario.points + 1), 2))  # noqa: S311 (a seed)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_a_kill_after_any_write_comes_to_the_same_end(stage: Stage, scenario: Scenario) -> None:
    await plays_on(stage, scenario, *await stage.pair())


@pytest.mark.short
@pytest.mark.timeout(900)
async def test_a_kill_after_some_write_comes_to_the_same_end(stage: Stage) -> None:
    pair = await stage.pair()
    for scenario in SCENARIOS:
        pair = await plays_on(stage, scenario, *pair)
