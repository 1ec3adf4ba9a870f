"""One pass over a WorkspaceDeployment or a WorkspaceType: their status, and leases that nobody holds."""

from datetime import datetime, timedelta

import structlog

from berth_core import overrides, state
from berth_core.kube.conditions import find, is_true
from berth_core.kube.errors import NotFoundError
from berth_core.kube.types import Object
from berth_core.machines.placement import IN_USE, Fault
from berth_core.resources import WorkspaceDeployment, WorkspaceType
from berth_operator.deployments import lifespan, online, orphans
from berth_operator.deployments.decide import (
    ONLINE,
    ObservedDeployment,
    deployment_status,
    maintenance_left,
    type_status,
)
from berth_operator.deployments.heartbeats import Heartbeats
from berth_operator.deployments.inbound import standing
from berth_operator.deployments.inbound.manifests import NOT_OURS, REFUSED
from berth_operator.enforcement.decide import CONDITION, NOT_PROBED
from berth_operator.enforcement.probe import Enforcement
from berth_operator.engine import events
from berth_operator.engine.events import Complaint
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import World, node_is_ready
from berth_operator.engine.writes import write_status
from berth_operator.instances.warm.view import concerns, warm_sets
from berth_operator.kinds import DEPLOYMENTS, LEASES, NODES, PODS, TYPES, WARM
from berth_operator.leadership.availability import Steadiness
from berth_operator.machines import claimants
from berth_operator.machines.slices import Slices
from berth_operator.pods.view import pod_view
from berth_operator.presence.decide import Presence
from berth_operator.presence.prober import Prober, networks_of
from berth_operator.presence.target import Problem
from berth_operator.presence.view import silence

log = structlog.get_logger(__name__)


async def reconcile_deployment(world: World, key: Key) -> float | None:
    """Bring the status up to date; undo a lease whose Instance does not come."""
    if concerns(world, key.namespace, key.name):
        world.add(WARM, key.namespace, key.name)
    wd = world.deployment(key.namespace, key.name)
    if wd is None:
        world.state(Prober).forget(key.namespace, key.name)
        standing.forget(world, key.namespace, key.name)
        world.state(Slices).forget(key.namespace, key.name)
        return None
    if (wd := await lifespan.begin(world, wd)) is None:
        return lifespan.CLEARING_SECONDS
    now, trusted = world.now(), world.clock.trusted
    again = None
    if wd.status.lease is not None:
        again = await orphans.attend(world, wd)
        wd = world.deployment(key.namespace, key.name)
    if wd is None:
        return None
    rivals = [
        WorkspaceDeployment.parse(o)
        for o in world.cache[DEPLOYMENTS].by("id", wd.public_id)
        if o["metadata"]["uid"] != wd.metadata.uid
    ]
    beat = await _beat(world, wd, now)
    type_ = world.type_named(wd.metadata.namespace, wd.spec.type)
    sight = world.state(Slices).look(world.client, wd)
    fault = claimants.fault(world, wd) or (sight.fault if sight is not None else None)
    seen = ObservedDeployment(
        wd,
        tuple(rivals),
        type=type_,
        node_ready=_node_ready(world, wd, type_),
        beat=beat,
        lost_node=_lost_node(world, wd),
        cleaning=_cleaning(world, wd),
        machine=fault,
        devices=sight,
        presence=_presence(world, wd, fault),
        inbound=await standing.stand(world, wd, type_, orphans.holder_in_cache(world, wd)),
        clock_trusted=trusted,
    )
    status = deployment_status(seen, now)
    written = await write_status(world, wd, wd.status, status)
    await _warn(world, wd, written)
    if wd.metadata.deletion_timestamp and again is None:
        again = await lifespan.finish(world, WorkspaceDeployment.parse(written) if written else wd)
    silent = online.due_in(beat) if is_true(status.conditions, ONLINE) else None
    shut_out = seen.inbound is not None and seen.inbound.reason in (NOT_OURS, REFUSED)
    taken = claimants.AGAIN_SECONDS if shut_out or (fault is not None and fault.reason == IN_USE) else None
    left = maintenance_left(seen, now)
    over = left.total_seconds() if left is not None and left > timedelta(0) else None
    return min((seconds for seconds in (again, silent, taken, over) if seconds is not None), default=None)


def _presence(world: World, wd: WorkspaceDeployment, fault: Fault | None) -> Presence | None:
    """Return what is known of the machine. One that may not be lent is not probed: another may have it."""
    prober = world.state(Prober)
    if fault is None or wd.spec.health is None:
        return prober.attend(wd, networks_of(world.config))
    prober.forget(wd.metadata.namespace, wd.metadata.name)
    return Presence(wd.spec.health, Problem(*fault))


async def _warn(world: World, wd: WorkspaceDeployment, written: Object | None) -> None:
    """Post an Event where the status says from now on that the machine does not answer."""
    before = silence(wd)
    after = silence(WorkspaceDeployment.parse(written)) if written is not None else None
    if written is not None and after is not None and before is None:
        await events.warn(world, written, Complaint(after.reason, "Probe", after.message, once=True))


async def reconcile_type(world: World, key: Key) -> float | None:
    """Bring a type's status up to date."""
    obj = world.cache[TYPES].get(key.namespace, key.name)
    if obj is None:
        return None
    type_ = WorkspaceType.parse(obj)
    namesakes = world.types_named(key.namespace, type_.spec.type_name)
    rivals = [one for one in namesakes if one.metadata.uid != type_.metadata.uid]
    verdict = world.state(Enforcement).verdict or (NOT_PROBED if world.config.probe_interval is None else None)
    status = type_status(type_, rivals, world.now(), verdict)
    written = await write_status(world, type_, type_.status, status)
    before, after = (find(s.conditions, CONDITION) for s in (type_.status, status))
    if written and after and after.status == "False" and (before is None or before.status != "False"):
        await events.warn(world, written, Complaint("NetworkPolicyNotEnforced", "Probe", after.message))
    return None


def _node_ready(world: World, wd: WorkspaceDeployment, type_: WorkspaceType | None) -> bool | None:
    if wd.spec.heartbeat != "node":
        return None
    added = wd.spec.overrides
    selector = overrides.node_selector(type_.spec.template, added) if type_ else added.node_selector
    return any(
        node_is_ready(node) and selector.items() <= (node["metadata"].get("labels") or {}).items()
        for node in world.cache[NODES]
    )


def _lost_node(world: World, wd: WorkspaceDeployment) -> str:
    """Node that is silent while the holder's pod on it must end; empty where there is none."""
    lease = wd.status.lease
    if lease is None:
        return ""
    namespace = wd.metadata.namespace
    holder = orphans.holder_in_cache(world, wd)
    if holder is not None and holder.status.reason is None:
        return ""
    pods = [pod_view(pod) for pod in world.cache[PODS].by("instance", lease.instance, namespace)]
    sets = warm_sets(world, namespace, wd.metadata.name)
    pods += [one.pod for one in sets if one.pod is not None and one.epoch == wd.status.epoch]
    silent = (p.node for p in pods if p.node and not p.harmless and not node_is_ready(world.node(p.node)))
    return next(silent, "")


def _cleaning(world: World, wd: WorkspaceDeployment) -> str:
    """Which hook runs after the holder's end, as the holder's Instance says."""
    holder = orphans.holder_in_cache(world, wd)
    cleaned = find(holder.status.conditions, state.CLEANED) if holder is not None else None
    return cleaned.message if cleaned is not None else ""


async def _beat(world: World, wd: WorkspaceDeployment, now: datetime) -> online.Beat | None:
    """Observed Lease of the deployment. It is read live before its silence takes effect."""
    namespace, name = wd.metadata.namespace, wd.metadata.name
    lease = world.cache[LEASES].get(namespace, name)
    if wd.spec.heartbeat != "lease" or lease is None:
        return None
    since = world.state(Steadiness).since
    heard_for = max((now - since).total_seconds(), 0.0) if since is not None else 0.0
    beat = world.state(Heartbeats).beat(lease, heard_for)
    if beat.silence < beat.limit or not is_true(wd.status.conditions, ONLINE):
        return beat
    try:
        lease = await world.client.get(LEASES, namespace, name)
    except NotFoundError:
        return beat
    world.cache[LEASES].put(lease)
    return world.state(Heartbeats).beat(lease, heard_for)
