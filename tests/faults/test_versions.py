"""An API of the version before beside the operator of this one, as while an upgrade goes on: the same promises hold.

Histories have no faults here: the version before has defects that only faults bring out. The other way round nothing is
to be played: this version's API lends nothing that its own operator has not looked at.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, seed, settings

from berth_dev.envtest.apiserver import ApiServer

from ..envtest.operator.earlier import earlier
from .ground import Ground, ground_in
from .histories import History, undisturbed
from .seeds import SEED

pytestmark = [pytest.mark.apiserver, pytest.mark.long, pytest.mark.release(twin="tests/envtest/chart/test_existing.py")]

RUNS = 40
ARENAS = 6


@pytest_asyncio.fixture(scope="module")
async def ground(apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    before = earlier(tmp_path_factory.mktemp("earlier"))
    folder = tmp_path_factory.mktemp("versions") / "release"
    async with ground_in(apiserver, folder, ARENAS, api=before) as made:
        yield made


@pytest.mark.timeout(1800)
@seed(SEED)
@settings(
    max_examples=RUNS, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), print_blob=True
)
@given(history=undisturbed)
async def test_nobody_shares_jumps_or_loses_anything(ground: Ground, history: History) -> None:
    await ground.play(history)


@pytest.mark.timeout(600)
async def test_all_is_given_back_in_the_end(ground: Ground) -> None:
    await ground.settled(asyncio.ALL_COMPLETED)
    assert ground.played >= RUNS
    assert len(ground.watching.leases.taken) >= RUNS
    assert ground.turns >= RUNS // 2
