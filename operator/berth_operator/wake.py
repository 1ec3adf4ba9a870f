"""Which keys an object's change concerns."""

from typing import Final

from berth_core import ids, names
from berth_core.kube.types import Kind, Object
from berth_core.queue import order
from berth_core.resources import Reservation
from berth_operator.engine.cache import shown, version_of
from berth_operator.engine.workqueue import Key
from berth_operator.kinds import (
    ACCESS_RULES,
    BUILDS,
    DEPLOYMENTS,
    INSTANCES,
    JOBS,
    LEASES,
    NODES,
    PODS,
    RESERVATIONS,
    RULES,
    SERVICES,
    TYPES,
    VPN_CLIENTS,
)
from berth_operator.networks import is_new, note_runtimes
from berth_operator.pods import holder_of
from berth_operator.queue import waiting
from berth_operator.world import (
    BUILD,
    BUILD_REMAINS,
    DEPLOYMENT,
    INSTANCE,
    ORPHAN,
    PLACES,
    RELIST,
    RESERVATION,
    TURN,
    TYPE,
    WARM,
    World,
)

GRANT_SECONDS: Final = 2.0
"""After so long a turn that goes on by itself has granted the lease that it took."""


def wake(world: World, kind: Kind, obj: Object, *, gone: bool = False) -> None:
    """Put the keys that an object's change concerns into the work queue."""
    if kind == INSTANCES:
        _instance(world, obj, gone)
        _build_child(world, obj)
    elif kind in (PODS, SERVICES, JOBS):
        _child(world, obj, holder_of(obj))
        _warm(world, obj)
        _build_child(world, obj)
    elif kind == BUILDS:
        _build(world, obj, gone)
    elif kind == RULES:
        _rule(world, obj, gone)
    elif kind == VPN_CLIENTS:
        _vpn_client(world, obj)
    elif kind == RESERVATIONS:
        _reservation(world, obj, gone)
    elif kind == ACCESS_RULES:
        _access_rule(world, obj)
    elif kind == DEPLOYMENTS:
        _deployment(world, obj, gone)
    elif kind == TYPES:
        _type(world, obj)
    elif kind == NODES:
        _node(world, obj, gone)
    elif kind == LEASES:
        _lease(world, obj, gone)


def wake_gone(world: World, kind: Kind, obj: Object) -> None:
    """The same for an object that was deleted. What one concerned that cannot be read only a look at all can tell."""
    last = shown(kind, obj)
    if last is None:
        world.add(RELIST, "", "")
    else:
        wake(world, kind, last, gone=True)


def _instance(world: World, obj: Object, gone: bool) -> None:
    metadata, status = obj["metadata"], obj.get("status") or {}
    if not gone and not _is_history(world, obj):
        world.add(INSTANCE, metadata["namespace"], metadata["name"])
    claim = obj["spec"].get("claim") or {}
    deployment = status.get("deployment") or claim.get("deployment")
    if not (gone or status.get("reason")):
        return
    if deployment:
        world.add(DEPLOYMENT, metadata["namespace"], deployment)
    # A lease that was taken for it before it was bound is for nobody now.
    public_id, namespace = ids.instance_id(metadata["name"], metadata["uid"]), metadata["namespace"]
    for wd in world.store.by(DEPLOYMENTS, "holder", public_id, namespace):
        world.add(DEPLOYMENT, namespace, wd["metadata"]["name"])


def _is_history(world: World, obj: Object) -> bool:
    """Whether it has ended, nobody deletes it, and nothing of it is known to be left."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    if not status.get("endTime") or metadata.get("deletionTimestamp"):
        return False
    public_id = status.get("id") or metadata["name"]
    return not any(
        world.store.by(kind, "instance", public_id, metadata["namespace"]) for kind in (PODS, JOBS, VPN_CLIENTS)
    )


def _child(world: World, obj: Object, instance_id: str | None) -> None:
    if not instance_id:
        return
    namespace = obj["metadata"]["namespace"]
    owners = world.store.by(INSTANCES, "id", instance_id, namespace)
    for owner in owners:
        world.add(INSTANCE, namespace, owner["metadata"]["name"])
    if not owners:
        world.add(ORPHAN, namespace, instance_id)


def _warm(world: World, obj: Object) -> None:
    labels, namespace = obj["metadata"].get("labels", {}), obj["metadata"]["namespace"]
    deployment = labels.get(names.DEPLOYMENT_LABEL)
    if names.WARM_LABEL not in labels or not deployment:
        return
    world.add(WARM, namespace, deployment)
    # Its Service does not name the instance that has it.
    for bound in world.store.by(INSTANCES, "deployment", deployment, namespace):
        world.add(INSTANCE, namespace, bound["metadata"]["name"])


def _build(world: World, obj: Object, gone: bool) -> None:
    namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
    status = obj.get("status") or {}
    if gone:
        world.add(BUILD_REMAINS, namespace, ids.instance_id(name, obj["metadata"]["uid"]))
    elif status.get("endTime") and status.get("attempt") == obj["spec"].get("attempt", 1):
        return
    else:
        world.add(BUILD, namespace, name)
    world.add(PLACES, namespace, "")


def _build_child(world: World, obj: Object) -> None:
    build_id, namespace = (obj["metadata"].get("labels") or {}).get(names.BUILD_LABEL), obj["metadata"]["namespace"]
    if not build_id:
        return
    owners = world.store.by(BUILDS, "id", build_id, namespace)
    for owner in owners:
        world.add(BUILD, namespace, owner["metadata"]["name"])
    if not owners:
        world.add(BUILD_REMAINS, namespace, build_id)


def _rule(world: World, obj: Object, gone: bool) -> None:
    namespace, instance_id = obj["metadata"]["namespace"], obj["spec"]["instance"]
    owners = world.store.by(INSTANCES, "id", instance_id, namespace)
    memory = world.memories.known(namespace, instance_id)
    if memory is None and gone and any(not (owner.get("status") or {}).get("endTime") for owner in owners):
        # A deletion leaves no other trace for the first pass to find.
        memory = world.memories.of(namespace, instance_id)
    if memory is not None:
        if not gone and memory.knows_rule(obj["metadata"]["name"], obj["metadata"]["resourceVersion"]):
            return
        memory.outdate_rules(version_of(obj))
    for owner in owners:
        world.add(INSTANCE, namespace, owner["metadata"]["name"])


def _vpn_client(world: World, obj: Object) -> None:
    namespace = obj["metadata"]["namespace"]
    for owner in world.store.by(INSTANCES, "id", obj["spec"]["instance"], namespace):
        world.add(INSTANCE, namespace, owner["metadata"]["name"])


def _deployment(world: World, obj: Object, gone: bool) -> None:
    namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
    world.add(DEPLOYMENT, namespace, name)
    for rival in world.store.by(DEPLOYMENTS, "id", ids.deployment_id(namespace, name)):
        world.add(DEPLOYMENT, rival["metadata"]["namespace"], rival["metadata"]["name"])
    for bound in world.store.by(INSTANCES, "deployment", name, namespace):
        world.add(INSTANCE, namespace, bound["metadata"]["name"])
    # Another operator may have taken it for one that waits, and have stopped leading since.
    lease = (obj.get("status") or {}).get("lease")
    if lease:
        for holder in world.store.by(INSTANCES, "id", lease["instance"], namespace):
            world.add(INSTANCE, namespace, holder["metadata"]["name"])
        waits = waiting.reservation_for(world, namespace, lease["instance"])
        if waits is not None and not (waits.get("status") or {}).get("grant"):
            world.queue.add_after(Key(RESERVATION, namespace, waits["metadata"]["name"]), GRANT_SECONDS)
    if gone:
        for waits in world.store.by(INSTANCES, "waiting", "yes", namespace):
            world.add(INSTANCE, namespace, waits["metadata"]["name"])
    if gone or not lease:
        # Its holder has a lease less: elsewhere too, his turn may have come.
        for other in world.config.workspace_namespaces:
            if waiting.anybody(world, other):
                world.add(TURN, other, obj["spec"]["type"])


def _reservation(world: World, obj: Object, gone: bool) -> None:
    namespace = obj["metadata"]["namespace"]
    if gone:
        # Where a lease was taken for it and nothing else happened, the deployment's pass gives it back.
        for wd in world.store.by(DEPLOYMENTS, "holder", ids.turn_instance(obj["metadata"]["uid"]), namespace):
            world.add(DEPLOYMENT, namespace, wd["metadata"]["name"])
    elif not order.is_settled(Reservation.parse(obj)):
        world.add(RESERVATION, namespace, obj["metadata"]["name"])
        if not (obj.get("status") or {}).get("grant"):
            waiting.wake_turns(world, namespace, obj["spec"])


def _access_rule(world: World, obj: Object) -> None:
    """Who may have a deployment has changed: somebody who waits may have his turn now."""
    namespace = obj["metadata"]["namespace"]
    wd = world.store.get(DEPLOYMENTS, namespace, obj["spec"]["deployment"])
    if wd is not None and waiting.anybody(world, namespace):
        world.add(TURN, namespace, wd["spec"]["type"])


def _type(world: World, obj: Object) -> None:
    namespace, type_name = obj["metadata"]["namespace"], obj["spec"]["typeName"]
    for same in world.store.by(TYPES, "typeName", type_name, namespace):
        world.add(TYPE, namespace, same["metadata"]["name"])
    world.add(TYPE, namespace, obj["metadata"]["name"])
    if waiting.anybody(world, namespace):
        world.add(TURN, namespace, type_name)
    for wd in world.store.by(DEPLOYMENTS, "type", type_name, namespace):
        world.add(DEPLOYMENT, namespace, wd["metadata"]["name"])


def _lease(world: World, obj: Object, gone: bool) -> None:
    namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
    if gone:
        world.heartbeats.forget(namespace, name)
    if gone or world.heartbeats.note(obj):
        world.add(DEPLOYMENT, namespace, name)


def _node(world: World, obj: Object, gone: bool) -> None:
    note_runtimes(world, obj, gone=gone)
    if world.config.own_networks and is_new(obj, world.config.own_networks):
        world.add(RELIST, "", "")
    for pod in world.store.by(PODS, "node", obj["metadata"]["name"]):
        labels, namespace = pod["metadata"].get("labels", {}), pod["metadata"]["namespace"]
        _child(world, pod, holder_of(pod))
        if labels.get(names.DEPLOYMENT_LABEL):
            world.add(DEPLOYMENT, namespace, labels[names.DEPLOYMENT_LABEL])
    for wd in world.store.all(DEPLOYMENTS):
        if wd["spec"].get("heartbeat") == "node":
            world.add(DEPLOYMENT, wd["metadata"]["namespace"], wd["metadata"]["name"])
