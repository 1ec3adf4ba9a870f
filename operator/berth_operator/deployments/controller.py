"""Kinds that deployments and types rest on: how their objects are found, and which keys their changes concern."""

from collections.abc import Iterable
from typing import Final

from berth_core import ids, names
from berth_core.kube.types import Object
from berth_operator.deployments.decide import ONLINE
from berth_operator.deployments.heartbeats import Heartbeats
from berth_operator.deployments.inbound import standing
from berth_operator.deployments.reconcile import reconcile_deployment, reconcile_type
from berth_operator.engine.cache import index_by
from berth_operator.engine.controllers import Controller, Watch
from berth_operator.engine.world import World
from berth_operator.kinds import DEPLOYMENT, DEPLOYMENTS, INSTANCES, LEASES, NODES, PODS, SERVICES, TYPE, TYPES
from berth_operator.machines.claimants import blocks_named, rivals


def _deployment(world: World, obj: Object, _gone: bool) -> None:
    namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
    world.add(DEPLOYMENT, namespace, name)
    for rival in world.cache[DEPLOYMENTS].by("id", ids.deployment_id(namespace, name)):
        world.add(DEPLOYMENT, rival["metadata"]["namespace"], rival["metadata"]["name"])
    for rival in rivals(world, obj):
        world.add(DEPLOYMENT, rival["metadata"]["namespace"], rival["metadata"]["name"])


def _type(world: World, obj: Object, _gone: bool) -> None:
    namespace, type_name = obj["metadata"]["namespace"], obj["spec"]["typeName"]
    for same in world.cache[TYPES].by("typeName", type_name, namespace):
        world.add(TYPE, namespace, same["metadata"]["name"])
    world.add(TYPE, namespace, obj["metadata"]["name"])
    for wd in world.cache[DEPLOYMENTS].by("type", type_name, namespace):
        world.add(DEPLOYMENT, namespace, wd["metadata"]["name"])


def only_marked(known: Object | None, obj: Object) -> bool:
    """Whether a type has changed only in what concerns the API's replicas. Else each reservation would wake it.

    Of a version that is known already nothing can be said: a read brought it here, on which nobody has acted.
    """
    if known is None or known["metadata"]["resourceVersion"] == obj["metadata"]["resourceVersion"]:
        return False
    return _without_mark(known) == _without_mark(obj)


def _without_mark(obj: Object) -> tuple[Object, Object]:
    """Labels and annotations of a type decide nothing; what else there is of it counts with its generation."""
    status = {name: value for name, value in (obj.get("status") or {}).items() if name != "admissionMark"}
    metadata = {name: obj["metadata"].get(name) for name in ("uid", "generation", "deletionTimestamp")}
    return metadata, status


def _heartbeat(world: World, obj: Object, gone: bool) -> None:
    namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
    heartbeats = world.state(Heartbeats)
    if gone:
        heartbeats.forget(namespace, name)
    if gone or heartbeats.note(obj):
        world.add(DEPLOYMENT, namespace, name)


def _node(world: World, obj: Object, _gone: bool) -> None:
    for pod in world.cache[PODS].by("node", obj["metadata"]["name"]):
        if deployment := (pod["metadata"].get("labels") or {}).get(names.DEPLOYMENT_LABEL):
            world.add(DEPLOYMENT, pod["metadata"]["namespace"], deployment)
    for wd in world.cache[DEPLOYMENTS]:
        if wd["spec"].get("heartbeat") == "node":
            world.add(DEPLOYMENT, wd["metadata"]["namespace"], wd["metadata"]["name"])


def _offline(obj: Object) -> Iterable[str]:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    offline = any(one["type"] == ONLINE and one["status"] == "False" for one in conditions)
    return ("yes",) if offline and not obj["spec"].get("dissolved") else ()


CONTROLLER: Final = Controller(
    watches=(
        Watch(TYPES, _type, {"typeName": index_by("spec", "typeName")}, concerns_nobody=only_marked),
        Watch(
            DEPLOYMENTS,
            _deployment,
            {
                "type": index_by("spec", "type"),
                "id": lambda o: (ids.deployment_id(o["metadata"]["namespace"], o["metadata"]["name"]),),
                "holder": index_by("status", "lease", "instance"),
                "block": blocks_named,
                "offline": _offline,
            },
        ),
        Watch(LEASES, _heartbeat, labels={names.HEARTBEAT_LABEL: "true"}),
        Watch(NODES, _node),
        Watch(INSTANCES, standing.wake_by_instance),
        Watch(PODS, standing.wake),
        Watch(SERVICES, standing.wake, {standing.STANDING: standing.stands}),
        Watch(NODES, standing.wake_by_node),
    ),
    passes={DEPLOYMENT: reconcile_deployment, TYPE: reconcile_type},
    objects={DEPLOYMENT: DEPLOYMENTS, TYPE: TYPES},
)
