"""Deletes objects that are over: those kept for long enough, and the oldest of too many.

These are Instances, Builds, Reservations whose turn has come, and machines that their owners retired. One key finds all
of them, deletes some, and comes back for the rest or when the next one is due. The parts of an Instance went when it
ended; its finalizer goes in its own pass, which looks for remains first. Logs and artifacts of Builds go sooner than
these. An object that a repeated request may look for stays its time.
"""

import time
from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import structlog

from berth_core.kube.errors import ClusterError, ConflictError, NotFoundError
from berth_core.resources.build import IN_ARCHIVE
from berth_operator.builds.artifacts import drop, kept_bytes
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import World
from berth_operator.engine.writes import refresh, together
from berth_operator.kinds import BUILDS, DEPLOYMENTS, INSTANCES, RESERVATIONS
from berth_operator.settings.builds import CiSettings
from berth_operator.sweeps.retention import (
    Past,
    beyond,
    build_goes_at,
    deployment_goes_at,
    instance_goes_at,
    next_look,
    reservation_goes_at,
)

log = structlog.get_logger(__name__)

BATCH: Final = 20
MOST_AT_ONCE: Final = 100
"""Deleted in one pass."""
PAUSE_SECONDS: Final = 2.0
"""Between two such passes: 50 a second at most, so that holders notice nothing."""
DISTRUST_SECONDS: Final = 30.0
DROPPING_SECONDS: Final = 10.0
"""For so long one pass deletes logs and artifacts, however slow an archive is."""
LONGEST_WAIT: Final = 60.0
"""There may be too much at any time."""
KINDS: Final = {
    INSTANCES: instance_goes_at,
    RESERVATIONS: reservation_goes_at,
    BUILDS: build_goes_at,
    DEPLOYMENTS: deployment_goes_at,
}


async def sweep_history(world: World, _key: Key) -> float | None:
    """Delete objects past their retention, or too many; return the seconds after which to look again."""
    if not world.clock.trusted:
        return DISTRUST_SECONDS
    past, now = list(_past(world)), world.now()
    due = [one for one in past if one.at <= now]
    for one in _surplus(world, [one for one in past if one.at > now]):
        if (at := KINDS[one.kind](one.obj, timedelta())) is not None and at <= now:
            due.append(one)
    due.sort(key=lambda one: one.ended)
    for start in range(0, min(len(due), MOST_AT_ONCE), BATCH):
        await together(*(_delete(world, one) for one in due[start : min(start + BATCH, MOST_AT_ONCE)]))
    if due:
        rest = max(len(due) - MOST_AT_ONCE, 0)
        log.info("deleted ended objects beyond the retention or the bounds", deleted=len(due) - rest, left=rest)
    if len(due) > MOST_AT_ONCE:
        return PAUSE_SECONDS
    deleted_uids = {one.obj["metadata"]["uid"] for one in due}
    builds = [one for one in past if one.size and one.obj["metadata"]["uid"] not in deleted_uids]
    if world.config.ci is not None and await _drop_kept(world, world.config.ci, builds):
        return PAUSE_SECONDS
    longest = min(world.config.history_retention, timedelta(seconds=LONGEST_WAIT))
    return next_look([one.at for one in past if one.at > now], now, longest)


def _surplus(world: World, past: list[Past]) -> list[Past]:
    """Return objects beyond the bounds, in number or in bytes."""
    over = beyond(past, world.config.history_bytes, lambda one: one.weight)
    for kind in KINDS:
        over += beyond((one for one in past if one.kind == kind), world.config.history)
    return list({one.obj["metadata"]["uid"]: one for one in over}.values())


async def _drop_kept(world: World, settings: CiSettings, builds: list[Past]) -> bool:
    """Delete logs and artifacts of builds that are too old, or too much; whether more is to go."""
    now = world.now()
    over = beyond(builds, settings.kept_bytes, lambda one: one.size) + beyond(builds, settings.kept_builds)
    over += [one for one in builds if one.ended + settings.kept_retention <= now]
    due = {one.obj["metadata"]["uid"]: one for one in over}
    # The archive comes last: where it deletes nothing, objects in the cluster are deleted all the same.
    waiting = deque(sorted(due.values(), key=lambda one: one.obj["status"].get("keptIn") == IN_ARCHIVE))
    until, failed = time.monotonic() + DROPPING_SECONDS, list[str]()
    while waiting and time.monotonic() < until:
        one = waiting.popleft()
        metadata = one.obj["metadata"]
        try:
            await drop(world, one.obj)
            log.info("deleted logs and artifacts of a build", build=metadata["name"], bytes=one.size)
        except (ConflictError, NotFoundError):
            await refresh(world, BUILDS, metadata["namespace"], metadata["name"])
        except ClusterError as error:
            failed.append(error.message)
    if failed:
        log.warning("cannot delete logs and artifacts of some builds yet", builds=len(failed), error=failed[0])
    return bool(waiting) and not failed


def _past(world: World) -> Iterator[Past]:
    retention = world.config.history_retention
    for kind, goes_at in KINDS.items():
        for obj in world.cache[kind]:
            if at := goes_at(obj, retention):
                yield Past(kind, obj, at - retention, at, kept_bytes(obj["status"]) if kind == BUILDS else 0)


async def _delete(world: World, one: Past) -> None:
    metadata = one.obj["metadata"]
    await world.client.delete(one.kind, metadata["namespace"], metadata["name"], uid=metadata["uid"])
