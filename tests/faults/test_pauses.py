"""The leader is stopped at one of its writes, for so long that another leads, and does no harm when it goes on.

Its late writes are refused, change nothing, or are cleaned up; it writes nothing else. Pauses are played side by side,
on stages of their own, since most of the time nothing happens on any of them.
"""

import asyncio
import os
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import make_namespaces

from ..conftest import is_long
from ..envtest.operator.conftest import lab_in
from .pauses import Pause, Point, paused
from .scenarios import LIFE, REVISED, SCENARIOS, Scenario
from .seeds import SEED
from .stage import stage
from .test_kills import undisturbed

pytestmark = [pytest.mark.apiserver, pytest.mark.release(twin="tests/envtest/operator/test_leading.py")]

SHORTLY = ("launch", "teardown", "turn")
SECONDS = 60.0 if is_long() else 8.0
"""Nobody else leads before 7 s are over."""
SIDE_BY_SIDE = int(os.environ.get("FAULTS_SIDE_BY_SIDE") or 10)
"""Fewer where the machine has other things to do: operators that starve lose their lease by themselves."""
IN_A_ROW = 3


async def plays_on(
    server: ApiServer, folder: Path, scenario: Scenario, points: Sequence[Point], starting: asyncio.Lock
) -> int:
    """Play a scenario undisturbed and then with each of the pauses; how many there were."""
    namespaces = await asyncio.to_thread(make_namespaces, server)
    await asyncio.to_thread(folder.mkdir)
    async with lab_in(server, namespaces, judge=True) as lab, stage(server, namespaces, lab, folder) as made:
        async with starting:  # all at once would be ready late
            leader, heir = await made.pair()
        wanted = await undisturbed(made, scenario, leader)
        await made.clear()
        for point in points:
            await paused(made, Pause(scenario, point, SECONDS), (leader, heir), wanted)
            leader, heir = heir, leader
            await made.clear()
    return len(points)


async def all_play(server: ApiServer, folder: Path, parts: Iterable[tuple[Scenario, Sequence[Point]]]) -> int:
    """Play parts of scenarios side by side; how many pauses there were."""
    turns, starting = asyncio.Semaphore(SIDE_BY_SIDE), asyncio.Lock()

    async def one(number: int, scenario: Scenario, points: Sequence[Point]) -> int:
        async with turns:
            return await plays_on(server, folder / str(number), scenario, points, starting)

    done = await asyncio.gather(*(one(n, *part) for n, part in enumerate(parts)), return_exceptions=True)
    failed = [result for result in done if isinstance(result, BaseException)]
    if failed:
        raise BaseExceptionGroup(f"{len(failed)} of {len(done)} failed, FAULTS_SEED={SEED}", failed)
    return sum(result for result in done if isinstance(result, int))


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scenario", [*SCENARIOS, LIFE, REVISED], ids=lambda scenario: scenario.name)
async def test_a_leader_that_was_stopped_at_any_write_does_no_harm(
    apiserver: ApiServer, tmp_path: Path, scenario: Scenario
) -> None:
    points = [Point(write, held) for write in range(1, scenario.points + 1) for held in (True, False)]
    parts = [(scenario, points[start : start + IN_A_ROW]) for start in range(0, len(points), IN_A_ROW)]
    assert await all_play(apiserver, tmp_path, parts) == 2 * scenario.points


@pytest.mark.short
async def test_a_leader_that_was_stopped_at_some_write_does_no_harm(apiserver: ApiServer, tmp_path: Path) -> None:
    chance = random.Random(f"{SEED} pauses")  # noqa: S311 (a seed)
    parts = [
        (scenario, [Point(chance.randint(1, scenario.points), held=chance.random() < 0.5)])
        for scenario in SCENARIOS
        if scenario.name in SHORTLY
    ]
    assert await all_play(apiserver, tmp_path, parts) == len(SHORTLY)
