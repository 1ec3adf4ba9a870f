"""One pass over a Build: observe, decide, take the step. Each step can be repeated.

Every attempt begins with a status of its own, and what it makes is named with the attempt. The verdict is written once,
with what was kept; what the build had is given back after that, and ``status.endTime`` says that it was.

One key for each namespace gives builds their turns, so that no turn is given twice.
"""

from typing import Final

import structlog

from berth_core import builds
from berth_core.firewall import Network
from berth_core.kube import conditions
from berth_core.kube.conditions import Condition, condition, merged
from berth_core.kube.errors import ConflictError, InvalidError, NotFoundError
from berth_core.kube.model import timestamp
from berth_core.queue.order import queued
from berth_core.resources import Build
from berth_core.resources.build import IN_ARCHIVE, BuildStatus
from berth_operator.builds import commit_status
from berth_operator.builds.artifacts import Kept, Leftovers, NotYetError, drop_parts, keep
from berth_operator.builds.cleanup import clear
from berth_operator.builds.decide import FETCH_SECONDS, MAKING, NOT_MADE, Plan, Step, decide
from berth_operator.builds.limits import Limits, may_ask, may_start
from berth_operator.builds.manifests.jobs import Attempt, BuildParts
from berth_operator.builds.observe import active, observe_build
from berth_operator.builds.observed import SeenBuild
from berth_operator.builds.steps import (
    BuildEndsError,
    ask_for_machine,
    open_door,
    renew_policy,
    resolve,
    start_fetching,
    start_script,
)
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import TermState, World
from berth_operator.engine.writes import refresh, write_status
from berth_operator.kinds import BUILD, BUILDS, HISTORY, PLACES
from berth_operator.podspec import wall
from berth_operator.podspec.isolation import of_build
from berth_operator.podspec.network import dns_fields

log = structlog.get_logger(__name__)

MOST_STEPS: Final = 8
SHORTEST_WAIT: Final = 0.05
DISTRUST_WAIT: Final = 5.0
KEEPING: Final = "it waits until its log and its artifacts can be read and stored"


class ShutOut(dict[Key, tuple[Network, ...]], TermState):
    """Networks that the NetworkPolicies of builds leave out for sure; those of builds that are not over."""


async def reconcile_build(world: World, key: Key) -> float | None:
    """Bring one build as far as it goes now; seconds after which to look again."""
    if world.config.ci is None:
        return None
    try:
        for _ in range(MOST_STEPS):
            obj = world.cache[BUILDS].get(key.namespace, key.name)
            if obj is None or obj["metadata"].get("deletionTimestamp"):
                world.state(ShutOut).pop(key, None)
                return None
            seen = await observe_build(world, Build.parse(obj))
            await _shut_out(world, key, seen)
            if await _tell(world, seen):
                continue
            plan = decide(seen, world.now())
            log.debug("decided", build=seen.build.public_id, step=plan.step.name, reason=plan.reason)
            if not await _take(world, seen, plan):
                return _wait(world, plan)
    except NotYetError as error:
        return error.seconds
    except (ConflictError, NotFoundError):
        await refresh(world, BUILDS, key.namespace, key.name)
        if world.cache[BUILDS].get(key.namespace, key.name) is None:
            return None
        raise
    return SHORTEST_WAIT


async def _shut_out(world: World, key: Key, seen: SeenBuild) -> None:
    """Bring the policy of the build's pods up to date where the blocked networks have changed."""
    networks, memory = world.config.out_of_reach, world.state(ShutOut)
    if seen.project is None or (seen.fetch is None and seen.run is None):
        memory.pop(key, None)  # it has no pod yet, or none any more
    elif memory.get(key) != networks:
        await renew_policy(world, _parts(world, seen), seen)
        memory[key] = networks


async def _take(world: World, seen: SeenBuild, plan: Plan) -> bool:
    """Take the step, or end the build where it cannot be taken; whether another can follow at once."""
    try:
        return await _step(world, seen, plan)
    except BuildEndsError as error:
        end = Plan(Step.END, error.reason, error.message)
    except InvalidError as error:
        if plan.step not in MAKING:
            raise
        end = Plan(Step.END, NOT_MADE, f"the cluster refuses what the build needs: {error.message[:600]}")
    await _end(world, seen, end)
    return True


async def _step(world: World, seen: SeenBuild, plan: Plan) -> bool:
    match plan.step:
        case Step.BEGIN:
            await _begin(world, seen.build)
            return True
        case Step.FETCH:
            await start_fetching(world, _parts(world, seen))
        case Step.RESOLVE:
            await resolve(world, seen.build, plan)
            return True
        case Step.LEASE:
            await ask_for_machine(world, _parts(world, seen))
        case Step.RUN:
            await start_script(world, _parts(world, seen), seen)
        case Step.OPEN:
            await open_door(world, seen)
        case Step.SHOW:
            await _show(world, seen.build, plan)
        case Step.END:
            await _end(world, seen, plan)
            return True
        case Step.CLEAR:
            await clear(world, Attempt(seen.build), pods_gone=False)
        case Step.FINISH:
            await clear(world, Attempt(seen.build), pods_gone=not seen.pods)
            await _finish(world, seen.build)
            return True
        case Step.SETTLED:
            pass
    return False


async def _tell(world: World, seen: SeenBuild) -> bool:
    """Tell the project's receiver how far it is, and write that down; return whether anything was written.

    This comes before the next step, so that a build is not over before its end was told.
    """
    build = seen.build
    if seen.project is None:
        return False
    news = await commit_status.tell(world, build, seen.project)
    if news is None or news == conditions.find(build.status.conditions, builds.TOLD):
        return False
    status = build.status.model_copy(update={"conditions": merged(build.status.conditions, [news])})
    return await write_status(world, build, build.status, status) is not None


def _wait(world: World, plan: Plan) -> float | None:
    if plan.again_at is None:
        return None
    shortest = SHORTEST_WAIT if world.clock.trusted else DISTRUST_WAIT
    return max((plan.again_at - world.now()).total_seconds(), shortest)


def _parts(world: World, seen: SeenBuild) -> BuildParts:
    if seen.project is None or world.config.ci is None:
        raise RuntimeError("only a build of a project is made")
    return BuildParts(
        seen.build,
        seen.project,
        world.config.ci,
        dns=dns_fields(world.config),
        user_namespace=of_build(world.config).on,
        wall=wall.init_containers(world.config, within=FETCH_SECONDS),
    )


async def _begin(world: World, build: Build) -> None:
    """Start the status of an attempt; status, log and artifacts of an earlier one go.

    Its parts in the archive go with the next sweep, so that no pass waits for the archive here.
    """
    if build.status.kept_in == IN_ARCHIVE:
        world.state(Leftovers).set()
    else:
        await drop_parts(world, build)
    now = world.now()
    conditions_now = [
        condition(builds.RESOLVED, False, "NotYet", "its turn has not come", now=now),
        condition(builds.RUNNING, False, "Waiting", "its turn has not come", now=now),
        condition(builds.ENDED, False, "Waiting", "its turn has not come", now=now),
    ]
    if conditions.find(build.status.conditions, builds.WORKSPACE_READY) is not None:
        conditions_now.append(condition(builds.WORKSPACE_READY, False, "NotYet", "its commit is not known", now=now))
    status = BuildStatus(
        id=build.public_id,
        queued=build.status.queued or queued(build.metadata),
        attempt=build.spec.attempt,
        observed_generation=build.metadata.generation,
        conditions=merged(build.status.conditions, conditions_now),
    )
    await write_status(world, build, build.status, status)
    world.add(PLACES, build.metadata.namespace, "")


async def _show(world: World, build: Build, plan: Plan) -> None:
    """Show in the status what it does or waits for."""
    now, status = world.now(), build.status
    shown: list[Condition] = []
    if status.start_time is not None and status.commit is not None and status.workspace is not None:
        lacking = plan.reason in (builds.POSTPONED, builds.WAITING, builds.STARTING)
        reason, message = (plan.reason, plan.message) if lacking else (builds.READY, "the machine is its own")
        shown.append(condition(builds.WORKSPACE_READY, not lacking, reason, message, now=now))
    shown.append(condition(builds.RUNNING, status.start_time is not None, plan.reason, plan.message, now=now))
    shown.append(condition(builds.ENDED, False, plan.reason, plan.message, now=now))
    changed = {"conditions": merged(status.conditions, shown), "observed_generation": build.metadata.generation}
    written = await write_status(world, build, status, status.model_copy(update=changed))
    if written is not None and builds.has_place(Build.parse(written)) != builds.has_place(build):
        world.add(PLACES, build.metadata.namespace, "")


async def _end(world: World, seen: SeenBuild, plan: Plan) -> None:
    """Keep log and artifacts, then write the verdict."""
    build, now, settings = seen.build, world.now(), world.config.ci
    output = Kept([], 0, 0, None)
    if seen.fetch is not None and settings is not None:
        try:
            output = await keep(world, Attempt(build), settings, seen)
        except NotYetError:
            waits = condition(builds.ENDED, False, "Keeping", KEEPING, now=now)
            changed = {"conditions": merged(build.status.conditions, [waits])}
            await write_status(world, build, build.status, build.status.model_copy(update=changed))
            raise
    message = f"{plan.message}; {output.missing}" if output.missing else plan.message
    shown = [
        condition(builds.RUNNING, False, plan.reason, message[:1024], now=now),
        condition(builds.ENDED, False, "Ending", message[:1024], now=now),
    ]
    verdict = {
        "reason": plan.reason,
        "message": message[:4096],
        "exit_code": plan.exit_code,
        "log": output.log or None,
        "log_size": output.log_size or None,
        "log_skipped": output.skipped or None,
        "artifacts": output.artifacts,
        "kept_in": output.place,
        "observed_generation": build.metadata.generation,
        "conditions": merged(build.status.conditions, shown),
    }
    await write_status(world, build, build.status, build.status.model_copy(update=verdict))
    log.info("build ends", build=build.public_id, attempt=build.status.attempt, reason=plan.reason)


async def _finish(world: World, build: Build) -> None:
    """Say that nothing is left to be done: its machine was asked back, and all else is gone or going."""
    now, status = world.now().replace(microsecond=0), build.status
    shown = [condition(builds.ENDED, True, status.reason or "", (status.message or "")[:1024], now=now)]
    over = {
        "end_time": timestamp(now),
        "observed_generation": build.metadata.generation,
        "conditions": merged(status.conditions, shown),
    }
    await write_status(world, build, status, status.model_copy(update=over))
    world.add(PLACES, build.metadata.namespace, "")
    world.add(HISTORY, "", "")  # there may be too much of it now


async def reconcile_places(world: World, key: Key) -> float | None:
    """Start the builds of a namespace whose turn it is."""
    settings = world.config.ci
    if settings is None:
        return None
    limits = Limits(settings.concurrent, settings.per_user)
    builds_here = active(world, key.namespace)
    for build in may_start(builds_here, limits):
        now = world.now().replace(microsecond=0)
        shown = condition(builds.RUNNING, True, "Fetching", "its turn has come", now=now)
        await _write_turn(world, build, shown, start_time=timestamp(now))
        log.info("turn", build=build.public_id, user=build.spec.user)
    for build in may_ask(builds_here, limits):
        message = "its turn for a machine has not come"
        await _write_turn(
            world, build, condition(builds.WORKSPACE_READY, False, builds.WAITING, message, now=world.now())
        )
    return None


async def _write_turn(world: World, build: Build, shown: Condition, **more: str) -> None:
    status, metadata = build.status, build.metadata
    changed = {"conditions": merged(status.conditions, [shown]), **more}
    try:
        await write_status(world, build, status, status.model_copy(update=changed))
    except (ConflictError, NotFoundError):
        await refresh(world, BUILDS, metadata.namespace, metadata.name)
        raise
    world.add(BUILD, metadata.namespace, metadata.name)
