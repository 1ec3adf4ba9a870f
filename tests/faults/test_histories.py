"""Histories made up at random: eight clients, two API processes and an operator, faults on the way, and kills.

Whatever happens, nobody shares a deployment, nobody jumps the queue, and nothing that was promised is lost. In the end
everything is given back and nothing is left. While one history is played, what became of some before it is waited for.
"""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, seed, settings

from berth_dev.envtest.apiserver import ApiServer

from ..conftest import is_long
from .ground import Ground, ground_in
from .histories import History, histories
from .seeds import SEED

pytestmark = [pytest.mark.apiserver, pytest.mark.release(twin="tests/sim/test_histories.py")]

RUNS = int(os.environ.get("FAULTS_RUNS") or (1000 if is_long() else 8))
ARENAS = 16 if is_long() else 6
"""Most of them wait for a lease of a request that came to nothing, which is given back after 30 s."""


@pytest_asyncio.fixture(scope="module")
async def ground(apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    async with ground_in(apiserver, tmp_path_factory.mktemp("histories"), ARENAS) as made:
        yield made


@pytest.mark.timeout(3 * 3600)
@seed(SEED)
@settings(
    max_examples=RUNS,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
@given(history=histories)
async def test_nobody_shares_jumps_or_loses_anything(ground: Ground, history: History) -> None:
    await ground.play(history)


@pytest.mark.timeout(600)
async def test_all_is_given_back_in_the_end(ground: Ground) -> None:
    await ground.settled(asyncio.ALL_COMPLETED)
    await ground.alive(*ground.reviving)
    assert ground.played >= RUNS
    faults = [fault for struck in ground.struck for fault in struck]
    shown = (
        f"{len(ground.watching.leases.taken)} leases, {ground.turns} turns, {len(faults)} faults, {ground.kills} kills"
    )
    print(f"{ground.played} histories, {sum(map(bool, ground.struck))} met faults: {shown}")  # noqa: T201 (a report)
    few = f"too little happened in {ground.played} histories of FAULTS_SEED={SEED}: {shown}"
    assert len(ground.watching.leases.taken) >= 3 * RUNS, few
    assert ground.turns >= RUNS, few
    assert len(faults) >= RUNS, few
    assert ground.kills >= RUNS // 10, few
    assert await ground.left() == []
