"""Begins and ends the life of a WorkspaceDeployment (ADR 0023). Each step can be repeated.

A deployment can be deleted and made again under its name. Nobody may get it while something of the earlier one may run,
and no epoch may be used twice. So a deployment is lent only once it has its finalizer and its first epoch. It goes only
when nobody has it and nothing of it is left.
"""

from typing import Final

import structlog

from berth_core import names
from berth_core.kube.conditions import condition, merged
from berth_core.kube.types import Object
from berth_core.leases.availability import BEGUN, availability
from berth_core.leases.epochs import Trace
from berth_core.reading import at
from berth_core.resources import WorkspaceDeployment
from berth_operator.engine.world import World
from berth_operator.engine.writes import write_status
from berth_operator.kinds import DEPLOYMENTS, INSTANCES
from berth_operator.leases import traces
from berth_operator.leases.traces import Traces

log = structlog.get_logger(__name__)

CLEARING_SECONDS: Final = 1.0
SHOWN: Final = 4


async def begin(world: World, wd: WorkspaceDeployment) -> WorkspaceDeployment | None:
    """Return the deployment with its first epoch and its finalizer; None while something of an earlier one is left.

    One that was lent before keeps its epoch; it lacks the finalizer where an older version of Berth looked at it.
    """
    if wd.has_begun or wd.metadata.deletion_timestamp:
        return wd
    if wd.status.lease is None and not (wd.status.epoch and wd.status.observed_generation is not None):
        before = await _earlier(world, wd)
        wd = await _raise(world, wd, before)
        if before and (remains := await _remains(world, wd)):
            await _wait(world, wd, remains)
            return None
    if names.FENCE_FINALIZER in wd.metadata.finalizers:
        return wd
    return await _set_finalizers(world, wd, [*wd.metadata.finalizers, names.FENCE_FINALIZER])


async def finish(world: World, wd: WorkspaceDeployment) -> float | None:
    """Let a deployment that is being deleted go, once nobody has it and a live list finds nothing of it.

    From its deletion on nobody can take its lease, and no pod is made for it. Seconds after which to look again.
    """
    if wd.status.lease is not None or names.FENCE_FINALIZER not in wd.metadata.finalizers:
        return None
    if remains := await traces.live(world.client, wd.metadata.namespace, wd.metadata.name):
        log.info("a deleted deployment waits", deployment=wd.metadata.name, left=_list_of(remains))
        return CLEARING_SECONDS
    await _set_finalizers(world, wd, [f for f in wd.metadata.finalizers if f != names.FENCE_FINALIZER])
    return None


async def _earlier(world: World, wd: WorkspaceDeployment) -> list[Trace]:
    """Traces of an earlier deployment of this name that were there when this one was; this one's own are left out."""
    metadata = wd.metadata
    earlier = await world.state(Traces).of(
        world.client, metadata.namespace, metadata.name, int(metadata.resource_version)
    )
    return [one for one in earlier if metadata.uid not in one.owners]


async def _remains(world: World, wd: WorkspaceDeployment) -> list[Trace]:
    remains = await traces.live(world.client, wd.metadata.namespace, wd.metadata.name)
    return [one for one in remains if wd.metadata.uid not in one.owners]


async def _raise(world: World, wd: WorkspaceDeployment, before: list[Trace]) -> WorkspaceDeployment:
    """Set the first epoch where there is none yet: as high as anything of the name speaks of."""
    floor = max([one.epoch for one in before] + _epochs_of_instances(world, wd), default=0)
    if wd.status.epoch or not floor:
        return wd
    log.warning("a deployment of this name was there before", deployment=wd.metadata.name, epoch=floor)
    return await _write(world, wd, {"epoch": floor})


def _epochs_of_instances(world: World, wd: WorkspaceDeployment) -> list[int]:
    """Epochs that Instances claim or had; they stay for a while after their end."""
    name, namespace = wd.metadata.name, wd.metadata.namespace
    instances = (*world.cache[INSTANCES].by("mentions", name, namespace), *world.cache[INSTANCES].unreadable(namespace))
    parts = [part for obj in instances for part in (at(obj, "spec", "claim"), at(obj, "status"))]
    epochs = [at(part, "epoch") for part in parts if at(part, "deployment") == name]
    return [epoch for epoch in epochs if isinstance(epoch, int)]


async def _wait(world: World, wd: WorkspaceDeployment, remains: list[Trace]) -> None:
    message = f"of an earlier deployment of this name is left: {_list_of(remains)}"
    generation, now = wd.metadata.generation, world.now()
    begun = condition(BEGUN, False, "Remains", message, now=now, generation=generation)
    told_so = wd.status.model_copy(update={"conditions": merged(wd.status.conditions, [begun])})
    free = availability(wd.model_copy(update={"status": told_so}), now=now)
    await _write(world, wd, {"conditions": merged(told_so.conditions, [free])})


async def _write(world: World, wd: WorkspaceDeployment, fields: Object) -> WorkspaceDeployment:
    answer = await write_status(world, wd, wd.status, wd.status.model_copy(update=fields))
    return WorkspaceDeployment.parse(answer) if answer is not None else wd


async def _set_finalizers(world: World, wd: WorkspaceDeployment, finalizers: list[str]) -> WorkspaceDeployment:
    """Write finalizers by compare-and-swap: what was seen of the deployment is still so, or this fails."""
    body = {"metadata": {"resourceVersion": wd.metadata.resource_version, "finalizers": finalizers or None}}
    answer = await world.client.patch(DEPLOYMENTS, wd.metadata.namespace, wd.metadata.name, body)
    if not answer["metadata"].get("deletionTimestamp"):  # else it may be gone, and is not put back
        world.cache[DEPLOYMENTS].put(answer)
    return WorkspaceDeployment.parse(answer)


def _list_of(remains: list[Trace]) -> str:
    more = f" and {len(remains) - SHOWN} more" if len(remains) > SHOWN else ""
    return ", ".join(sorted({one.name for one in remains})[:SHOWN]) + more
