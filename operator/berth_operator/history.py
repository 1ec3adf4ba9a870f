"""What is over and was kept for long enough goes: ended Instances and Builds, Reservations whose turn came and went.

One key finds all of them, deletes some, and comes back for the rest or when the next one is due. What belongs to an
Instance went when it ended; its finalizer goes in its own pass, which looks for remains first.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple

import structlog

from berth_core.client import Kind, Object
from berth_operator.decide.history import build_goes_at, instance_goes_at, next_look, reservation_goes_at
from berth_operator.kinds import BUILDS, INSTANCES, RESERVATIONS
from berth_operator.queueing import Key
from berth_operator.together import together
from berth_operator.world import World

log = structlog.get_logger(__name__)

BATCH: Final = 20
MOST_AT_ONCE: Final = 100
"""Deleted in one pass."""
PAUSE_SECONDS: Final = 2.0
"""Between two such passes: 50 a second at most, so that those who have a lease notice nothing."""
DISTRUST_SECONDS: Final = 30.0


class Past(NamedTuple):
    """An object that is over, and when it goes."""

    at: datetime
    kind: Kind
    metadata: Object


async def sweep_history(world: World, _key: Key) -> float | None:
    """Delete what was kept for long enough; seconds after which to look again."""
    if not world.clock.trusted:
        return DISTRUST_SECONDS
    past, now = list(_past(world)), world.now()
    due = sorted((one for one in past if one.at <= now), key=lambda one: one.at)
    for start in range(0, min(len(due), MOST_AT_ONCE), BATCH):
        await together(*(_delete(world, one) for one in due[start : min(start + BATCH, MOST_AT_ONCE)]))
    if due:
        left = max(len(due) - MOST_AT_ONCE, 0)
        log.info("deleted what was over for long", deleted=len(due) - left, left=left)
    if len(due) > MOST_AT_ONCE:
        return PAUSE_SECONDS
    return next_look([one.at for one in past if one.at > now], now, world.config.history_retention)


def _past(world: World) -> Iterator[Past]:
    retention = world.config.history_retention
    kinds = ((INSTANCES, instance_goes_at), (RESERVATIONS, reservation_goes_at), (BUILDS, build_goes_at))
    for kind, goes_at in kinds:
        for obj in world.store.all(kind):
            if at := goes_at(obj, retention):
                yield Past(at, kind, obj["metadata"])


async def _delete(world: World, one: Past) -> None:
    await world.client.delete(one.kind, one.metadata["namespace"], one.metadata["name"], uid=one.metadata["uid"])
