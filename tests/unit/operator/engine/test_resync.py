"""A watch that begins asks for one list, when it is through; a list of all is a net for what stayed."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

from berth_core.kube.client import Client
from berth_core.kube.errors import NotFoundError
from berth_core.kube.model import timestamp
from berth_core.kube.types import Kind, Object
from berth_operator.engine.clock import Clock
from berth_operator.engine.resync import SETTLE_SECONDS, catch_up, reconcile_relist, watch_begins
from berth_operator.engine.workqueue import Key, WorkQueue
from berth_operator.instances.memory import Memories
from berth_operator.kinds import INSTANCES, JOBS, PODS, RELIST
from berth_operator.registry import make_world

from ..samples import CONFIG, NOW, bound

OTHER = "01900000-0000-7000-8000-000000000002"


async def test_the_list_waits_until_the_watch_has_told_all() -> None:
    listed = 0

    async def pages(*_: object, **__: object) -> Any:
        nonlocal listed
        listed += 1
        yield [], "7"

    client = cast(Client, SimpleNamespace(pages=pages))
    world = make_world(CONFIG, client, Clock())
    key = Key(RELIST, "", JOBS.plural)
    world.watches_began[JOBS.plural] = time.monotonic() + 60  # far more than this process may be held up
    wait = await reconcile_relist(world, key)
    assert wait is not None
    assert 0 < wait <= 60 + SETTLE_SECONDS
    assert listed == 0
    world.watches_began[JOBS.plural] = time.monotonic() - SETTLE_SECONDS
    assert await reconcile_relist(world, key) is None
    assert listed == len(CONFIG.workspace_namespaces)


async def test_a_watch_that_began_while_all_was_listed_is_followed_by_another_list() -> None:
    came: asyncio.Queue[Key] = asyncio.Queue()

    world = make_world(CONFIG, cast(Client, None), Clock())
    world.queue = WorkQueue(came.put)
    watch_begins(world, JOBS.plural)
    watch_begins(world, PODS.plural)
    watch_begins(world, "v1")
    world.watches_began[JOBS.plural] -= 60
    world.queue.open()
    catch_up(world, time.monotonic() - 30)
    working = asyncio.create_task(world.queue.run())
    assert await asyncio.wait_for(came.get(), SETTLE_SECONDS + 5) == Key(RELIST, "", PODS.plural)
    working.cancel()
    assert came.empty()


async def test_the_list_of_all_drops_what_is_remembered_of_instances_that_are_over() -> None:
    lives, ended = bound(), bound(status={"endTime": timestamp(NOW)}, metadata={"name": "another", "uid": OTHER})

    async def pages(kind: Kind, *_: object, **__: object) -> Any:
        yield ([lives.wire(), ended.wire()] if kind == INSTANCES else []), "7"

    async def nothing(*_: object) -> tuple[list[Object], str]:
        return [], "7"

    async def none(*_: object) -> Object:
        raise NotFoundError("there is none")

    client = cast(Client, SimpleNamespace(pages=pages, list=nothing, get=none))
    world = make_world(CONFIG, client, Clock())
    world.queue = WorkQueue(cast(Any, None))
    for instance in (lives.public_id, ended.public_id, "nobody"):
        world.state(Memories).of("lab", instance).notice = "soon"
    await reconcile_relist(world, Key(RELIST, "", ""))
    assert list(world.state(Memories).by_id) == [("lab", lives.public_id)]
    assert world.state(Memories).of("lab", lives.public_id).notice == "soon"
