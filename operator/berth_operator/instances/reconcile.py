"""One pass over an Instance: observe, decide, take the step, until there is nothing to do at once."""

import asyncio
from datetime import datetime
from typing import Final

import structlog

from berth_core import names
from berth_core.kube.errors import ConflictError, ForbiddenError, InvalidError, UnavailableError
from berth_core.resources import Instance
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import World
from berth_operator.engine.writes import refresh_instance, refresh_pod
from berth_operator.instances import ending, serving, starting
from berth_operator.instances.decide import decide, refused
from berth_operator.instances.expiry import warning
from berth_operator.instances.hooks import run
from berth_operator.instances.memory import Memories
from berth_operator.instances.observe import observe, pod_of
from berth_operator.instances.observed import ObservedInstance
from berth_operator.instances.plan import Plan, Step
from berth_operator.instances.vpn import clients
from berth_operator.kinds import INSTANCES
from berth_operator.leases import returning
from berth_operator.machines import claims
from berth_operator.queue import waiting

log = structlog.get_logger(__name__)

MOST_AT_ONCE: Final = 4
"""Leases that are bound at once. More would share the same processors, and all of a burst would be READY at its end."""
MOST_STEPS: Final = 8
SHORTEST_WAIT: Final = 0.02
DISTRUST_WAIT: Final = 5.0
"""While our clock is not trusted, deadlines that seem to have passed are looked at again after this."""


class Openings(asyncio.Semaphore):
    """Turns of the leases that are bound; each write still rests on the version that it was decided on."""

    def __init__(self) -> None:
        super().__init__(MOST_AT_ONCE)


async def reconcile_instance(world: World, key: Key) -> float | None:
    """Bring one instance as far as it goes now; seconds after which to look again."""
    try:
        return await _steps(world, key)
    except ConflictError:
        # Somebody wrote in between: the next pass must see what.
        await refresh_instance(world, key.namespace, key.name)
        if (instance := _cached(world, key)) is not None:
            pod = pod_of(world, key.namespace, instance.public_id)
            await refresh_pod(world, key.namespace, pod.name if pod else names.instance_object(instance.public_id))
        raise


async def _steps(world: World, key: Key) -> float | None:
    for _ in range(MOST_STEPS):
        instance = _cached(world, key)
        if instance is None:
            return None
        now = world.now()
        seen = await observe(world, instance, now)
        plan = decide(seen, now)
        log.debug("decided", instance=instance.public_id, step=plan.step.name, reason=plan.reason)
        at_once, after = await _take(world, seen, plan)
        if plan.step is not Step.END:
            await warning.warn(world, seen, now)
        if not at_once:
            return after if after is not None else _until(world, plan.again_at, now)
    return SHORTEST_WAIT


async def _take(world: World, seen: ObservedInstance, plan: Plan) -> tuple[bool, float | None]:
    """Take the step, or end the instance where the cluster refuses that; else as :func:`_step`."""
    try:
        return await _step(world, seen, plan)
    except (InvalidError, ForbiddenError) as error:
        for_good = isinstance(error, InvalidError)
        end = refused(seen, plan, error.message, world.now(), for_good=for_good)
        if end is None or isinstance(error, UnavailableError):
            raise
    return await _step(world, seen, end)


async def _step(world: World, seen: ObservedInstance, plan: Plan) -> tuple[bool, float | None]:
    """Take the step; whether another can follow at once, else the seconds to wait where the plan has no time."""
    match plan.step:
        case Step.END:
            await ending.end(world, seen, plan)
            # Where others wait for their end, that comes before what is left to do of this one.
            return not world.queue.hurried, 0.0
        case Step.TEAR_DOWN:
            result = await ending.tear_down(world, seen)
            return result and _is_deleted(seen), None
        case Step.FORGET:
            await ending.forget(world, seen)
        case Step.RETIRE:
            await serving.lose(world, seen.instance)
            await ending.retire(world, seen, plan)
        case Step.WAIT:
            await starting.wait(world, seen, plan)
        case Step.TURN:
            waiting.wake_turns(world, seen.instance.metadata.namespace, seen.instance.spec.wire())
        case Step.MARK:
            await ending.mark(world, seen, plan)
            return True, None
        case Step.RETURN:
            return await _give_back(world, seen), None
        case Step.RESERVE:
            await claims.reserve(world, seen.instance)
            return True, None
        case Step.PREPARE:
            await run.prepare(world, seen, plan)
        case Step.PREPARED:
            await run.prepared(world, seen)
            return True, None
        case Step.BIND:
            async with world.state(Openings):
                await starting.bind(world, seen)
            return seen.warm is not None, None
        case Step.OPEN:
            await starting.make_missing(world, seen)
        case Step.PUSH:
            delay = await serving.push(world, seen)
            if delay is None:
                return True, None
            if seen.agent.failures >= serving.REPORT_AFTER:
                await serving.report(world, seen, plan)
            return False, delay
        case Step.VPN:
            await clients.attend(world, seen)
            return True, None
        case Step.PROBE:
            serving.probe(world, seen)
            await serving.report(world, seen, plan)
        case Step.REPORT:
            await serving.report(world, seen, plan)
        case Step.SETTLED:
            pass
    return False, None


async def _give_back(world: World, seen: ObservedInstance) -> bool:
    instance, lease, namespace = seen.instance, seen.held, seen.instance.metadata.namespace
    if lease is None or not await returning.give_back(world, namespace, lease, instance.public_id):
        return False
    world.state(Memories).forget(namespace, instance.public_id)  # nothing that was tried with it counts for the next
    return True


def _until(world: World, again_at: datetime | None, now: datetime) -> float | None:
    if again_at is None:
        return None
    shortest = SHORTEST_WAIT if world.clock.trusted else DISTRUST_WAIT
    return max((again_at - now).total_seconds(), shortest)


def _is_deleted(seen: ObservedInstance) -> bool:
    return seen.instance.metadata.deletion_timestamp is not None


def _cached(world: World, key: Key) -> Instance | None:
    obj = world.cache[INSTANCES].get(key.namespace, key.name)
    return Instance.parse(obj) if obj else None
