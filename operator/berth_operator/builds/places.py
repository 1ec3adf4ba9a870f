"""Gives builds their turns: to run, and to queue for a machine. One key for a namespace: no turn is given twice."""

import structlog

from berth_core import builds
from berth_core.kube.conditions import Condition, condition, merged
from berth_core.kube.errors import ConflictError, NotFoundError
from berth_core.kube.model import timestamp
from berth_core.resources import Build
from berth_operator.builds.limits import Limits, may_ask, may_start
from berth_operator.builds.observe import active
from berth_operator.engine.workqueue import Key
from berth_operator.engine.writes import refresh, write_status
from berth_operator.kinds import BUILDS
from berth_operator.world import BUILD, World

log = structlog.get_logger(__name__)


async def reconcile_places(world: World, key: Key) -> float | None:
    """Start the builds of a namespace whose turn it is."""
    settings = world.config.ci
    if settings is None:
        return None
    limits = Limits(settings.concurrent, settings.per_user)
    known = active(world, key.namespace)
    for build in may_start(known, limits):
        now = world.now().replace(microsecond=0)
        shown = condition(builds.RUNNING, True, "Fetching", "its turn has come", now=now)
        await _write(world, build, shown, start_time=timestamp(now))
        log.info("turn", build=build.public_id, user=build.spec.user)
    for build in may_ask(known, limits):
        told = "its turn for a machine has not come"
        await _write(world, build, condition(builds.WORKSPACE_READY, False, builds.WAITING, told, now=world.now()))
    return None


async def _write(world: World, build: Build, shown: Condition, **more: str) -> None:
    status, metadata = build.status, build.metadata
    changed = {"conditions": merged(status.conditions, [shown]), **more}
    try:
        await write_status(world, build, status, status.model_copy(update=changed))
    except (ConflictError, NotFoundError):
        await refresh(world, BUILDS, metadata.namespace, metadata.name)
        raise
    world.add(BUILD, metadata.namespace, metadata.name)
