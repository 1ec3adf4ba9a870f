"""One pass over a WorkspaceDeployment or a WorkspaceType: their status, and leases that nobody holds."""

from datetime import datetime

import structlog

from berth_core import ids, leasing, queue, state
from berth_core.client import Object
from berth_core.conditions import find, is_true
from berth_core.errors import NotFoundError
from berth_core.leasing import Lease
from berth_core.resources import Instance, Reservation, WorkspaceDeployment, WorkspaceType
from berth_core.waitlist import NOT_GRANTED
from berth_operator import events, lifespan
from berth_operator.decide import heartbeat
from berth_operator.decide.deployment import (
    ONLINE,
    ObservedDeployment,
    deployment_status,
    orphaned_at,
    type_status,
)
from berth_operator.decide.enforcement import CONDITION, NOT_PROBED
from berth_operator.ending import clear
from berth_operator.events import Complaint
from berth_operator.kinds import DEPLOYMENTS, INSTANCES, LEASES, NODES, PODS, RESERVATIONS, TYPES
from berth_operator.podview import pod_view
from berth_operator.queueing import Key
from berth_operator.warmview import concerns, warm_sets
from berth_operator.world import RESERVATION, WARM, World, node_is_ready
from berth_operator.writes import write_status

log = structlog.get_logger(__name__)

CLEARING_SECONDS = 1.0
RESERVED_SECONDS = 10.0
"""When to look again at a lease that a reservation's turn will use."""


async def reconcile_deployment(world: World, key: Key) -> float | None:
    """Bring the status up to date; give back a lease whose Instance does not exist."""
    if concerns(world, key.namespace, key.name):
        world.add(WARM, key.namespace, key.name)
    wd = world.deployment(key.namespace, key.name)
    if wd is None:
        return None
    if (wd := await lifespan.begin(world, wd)) is None:
        return CLEARING_SECONDS
    now = world.now()
    again = None
    if orphaned_at(wd) is not None:
        again = await _orphan(world, wd, now)
        wd = world.deployment(key.namespace, key.name)
    if wd is None:
        return None
    rivals = [
        WorkspaceDeployment.parse(o)
        for o in world.store.by(DEPLOYMENTS, "id", wd.public_id)
        if o["metadata"]["uid"] != wd.metadata.uid
    ]
    beat = await _beat(world, wd, now)
    seen = ObservedDeployment(
        wd,
        tuple(rivals),
        node_ready=_node_ready(world, wd),
        beat=beat,
        lost_node=_lost_node(world, wd),
        cleaning=_cleaning(world, wd),
    )
    status = deployment_status(seen, now)
    written = await write_status(world, wd, wd.status, status)
    if wd.metadata.deletion_timestamp and again is None:
        again = await lifespan.finish(world, WorkspaceDeployment.parse(written) if written else wd)
    silent = heartbeat.due_in(beat) if is_true(status.conditions, ONLINE) else None
    return min((seconds for seconds in (again, silent) if seconds is not None), default=None)


async def reconcile_type(world: World, key: Key) -> float | None:
    """Bring a type's status up to date."""
    found = world.store.get(TYPES, key.namespace, key.name)
    if found is None:
        return None
    type_ = WorkspaceType.parse(found)
    rivals = [
        WorkspaceType.parse(o)
        for o in world.store.by(TYPES, "typeName", type_.spec.type_name, key.namespace)
        if o["metadata"]["uid"] != type_.metadata.uid
    ]
    verdict = world.enforcement or (NOT_PROBED if world.config.probe_interval is None else None)
    status = type_status(type_, rivals, world.now(), verdict)
    written = await write_status(world, type_, type_.status, status)
    before, after = (find(s.conditions, CONDITION) for s in (type_.status, status))
    if written and after and after.status == "False" and (before is None or before.status != "False"):
        await events.warn(world, written, Complaint("NetworkPolicyNotEnforced", "Probe", after.message))
    return None


async def _orphan(world: World, wd: WorkspaceDeployment, now: datetime) -> float | None:
    """Give back a lease whose holder does not exist or has ended; seconds after which to look again."""
    lease, due = wd.status.lease, orphaned_at(wd)
    if lease is None or due is None:
        return None
    namespace = wd.metadata.namespace
    if _holder(wd, world.store.by(INSTANCES, "id", lease.instance, namespace)) is not None:
        return None
    if now < due or not world.clock.trusted:
        return max((due - now).total_seconds(), CLEARING_SECONDS)
    listed, _ = await world.client.list(INSTANCES, namespace)
    same = [obj for obj in listed if Instance.parse(obj).public_id == lease.instance]
    if _holder(wd, same) is not None:
        return CLEARING_SECONDS
    if await _is_reserved(world, namespace, lease.instance):
        return RESERVED_SECONDS
    # An instance that has another deployment opened nothing here, and what it has is not ours to clear.
    taken = Lease(wd.metadata.name, wd.status.epoch)
    if not _living(same) and not await clear(world, namespace, lease.instance, taken):
        return CLEARING_SECONDS
    await leasing.give_back(world.client, namespace, taken, instance=lease.instance, completed=False, now=now)
    if not _living(same):
        world.memories.forget(namespace, lease.instance)
    world.store.put(DEPLOYMENTS, await world.client.get(DEPLOYMENTS, namespace, wd.metadata.name))
    log.warning("lease without an Instance given back", deployment=wd.metadata.name, instance=lease.instance)
    return None


async def _is_reserved(world: World, namespace: str, instance_id: str) -> bool:
    """Whether a reservation's turn, which makes that instance, has begun and not ended, read live."""
    granted, _ = await world.client.list(RESERVATIONS, namespace, fields={"status.grant.instance": instance_id})
    waits, _ = await world.client.list(RESERVATIONS, namespace, fields=NOT_GRANTED)
    for reservation in map(Reservation.parse, [*granted, *waits]):
        metadata = reservation.metadata
        if ids.turn_instance(metadata.uid) == instance_id and not metadata.deletion_timestamp:
            if not queue.is_settled(reservation):
                world.add(RESERVATION, namespace, metadata.name)
                return True
    return False


def _holder(wd: WorkspaceDeployment, found: list[Object]) -> Instance | None:
    """Return the instance that a lease is for: one that has not ended, and neither has nor claims another one."""
    name = wd.metadata.name
    return next((i for i in _living(found) if (i.status.deployment or _claimed(i) or name) == name), None)


def _claimed(instance: Instance) -> str | None:
    return instance.spec.claim.deployment if instance.spec.claim is not None else None


def _living(found: list[Object]) -> list[Instance]:
    return [i for i in map(Instance.parse, found) if i.status.end_time is None]


def _node_ready(world: World, wd: WorkspaceDeployment) -> bool | None:
    if wd.spec.heartbeat != "node":
        return None
    type_ = world.type_named(wd.metadata.namespace, wd.spec.type)
    wanted = (type_.spec.template.node_selector if type_ else {}) | wd.spec.overrides.node_selector
    return any(
        node_is_ready(node) and wanted.items() <= (node["metadata"].get("labels") or {}).items()
        for node in world.store.all(NODES)
    )


def _lost_node(world: World, wd: WorkspaceDeployment) -> str:
    """Node that is silent while the holder's pod on it must end; empty where there is none."""
    lease = wd.status.lease
    if lease is None:
        return ""
    namespace = wd.metadata.namespace
    holder = _holder(wd, world.store.by(INSTANCES, "id", lease.instance, namespace))
    if holder is not None and holder.status.reason is None:
        return ""
    pods = [pod_view(pod) for pod in world.store.by(PODS, "instance", lease.instance, namespace)]
    sets = warm_sets(world, namespace, wd.metadata.name)
    pods += [one.pod for one in sets if one.pod is not None and one.epoch == wd.status.epoch]
    silent = (p.node for p in pods if p.node and not p.harmless and not node_is_ready(world.node(p.node)))
    return next(silent, "")


def _cleaning(world: World, wd: WorkspaceDeployment) -> str:
    """Which hook runs after the holder's end, as his Instance says."""
    lease = wd.status.lease
    if lease is None:
        return ""
    holder = _holder(wd, world.store.by(INSTANCES, "id", lease.instance, wd.metadata.namespace))
    told = find(holder.status.conditions, state.CLEANED) if holder is not None else None
    return told.message if told is not None else ""


async def _beat(world: World, wd: WorkspaceDeployment, now: datetime) -> heartbeat.Beat | None:
    """What is known of the deployment's Lease. Before its silence takes effect it is read live."""
    namespace, name = wd.metadata.namespace, wd.metadata.name
    lease = world.store.get(LEASES, namespace, name)
    if wd.spec.heartbeat != "lease" or lease is None:
        return None
    since = world.steadiness.since
    heard_for = max((now - since).total_seconds(), 0.0) if since is not None else 0.0
    beat = world.heartbeats.beat(lease, heard_for)
    if beat.silence < beat.limit or not is_true(wd.status.conditions, ONLINE):
        return beat
    try:
        lease = await world.client.get(LEASES, namespace, name)
    except NotFoundError:
        return beat
    world.store.put(LEASES, lease)
    return world.heartbeats.beat(lease, heard_for)
