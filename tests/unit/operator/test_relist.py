"""A watch that begins anew asks for one list, when it is through."""

import time
from types import SimpleNamespace
from typing import Any, cast

from berth_core.client import Client
from berth_operator.agentclient import AgentClient
from berth_operator.certificates import Authority
from berth_operator.clock import Clock
from berth_operator.kinds import JOBS
from berth_operator.queueing import Key
from berth_operator.relist import SETTLE_SECONDS, reconcile_relist
from berth_operator.world import RELIST, World

from .making import CONFIG


async def test_the_list_waits_until_the_watch_has_told_all() -> None:
    listed = 0

    async def pages(*_: object, **__: object) -> Any:
        nonlocal listed
        listed += 1
        yield [], "7"

    client = cast(Client, SimpleNamespace(pages=pages))
    world = World(CONFIG, client, cast(Authority, None), cast(AgentClient, None), Clock())
    key = Key(RELIST, "", JOBS.plural)
    world.told_anew[JOBS.plural] = time.monotonic()
    wait = await reconcile_relist(world, key)
    assert wait is not None
    assert 0 < wait <= SETTLE_SECONDS
    assert listed == 0
    world.told_anew[JOBS.plural] -= SETTLE_SECONDS
    assert await reconcile_relist(world, key) is None
    assert listed == len(CONFIG.workspace_namespaces)
