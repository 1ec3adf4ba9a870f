"""Kinds that instances rest on: how their objects are found, and which keys their changes concern."""

from collections.abc import Iterable
from typing import Final

from berth_core import names
from berth_core.kube.cache import version_of
from berth_core.kube.types import Object
from berth_operator.engine.cache import index_by, public_id
from berth_operator.engine.controllers import Controller, Watch
from berth_operator.engine.world import World
from berth_operator.instances.firewall.policies import reconcile_policy
from berth_operator.instances.firewall.rules import RulesListed
from berth_operator.instances.memory import Memories
from berth_operator.instances.observe import LEFT
from berth_operator.instances.reconcile import reconcile_instance
from berth_operator.instances.warm.reconcile import reconcile_warm
from berth_operator.kinds import (
    CLAIMS,
    DEPLOYMENT,
    DEPLOYMENTS,
    INSTANCE,
    INSTANCES,
    JOBS,
    NODES,
    ORPHAN,
    OURS,
    PODS,
    POLICY,
    RULES,
    SERVICES,
    TYPES,
    VPN_CLIENTS,
    WARM,
)
from berth_operator.machines.claimants import blocks_held


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
    namespace = metadata["namespace"]
    for wd in world.cache[DEPLOYMENTS].by("holder", public_id(obj), namespace):
        world.add(DEPLOYMENT, namespace, wd["metadata"]["name"])


def _is_history(world: World, obj: Object) -> bool:
    """Whether it has ended, nobody deletes it, and nothing of it is known to be left."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    if not status.get("endTime") or metadata.get("deletionTimestamp"):
        return False
    own = status.get("id") or metadata["name"]
    return not any(world.cache[kind].by("instance", own, metadata["namespace"]) for kind in LEFT)


def _child(world: World, obj: Object, _gone: bool) -> None:
    _of_instance(world, obj)
    _warm(world, obj)


def _of_instance(world: World, obj: Object) -> None:
    """Wake the instance that an object belongs to; of a warm one all that are bound to its deployment."""
    labels, namespace = obj["metadata"].get("labels") or {}, obj["metadata"]["namespace"]
    instance_id = labels.get(names.INSTANCE_LABEL)
    owners = world.cache[INSTANCES].by("id", instance_id, namespace) if instance_id else []
    if instance_id and not owners:
        world.add(ORPHAN, namespace, instance_id)
    for deployment in _warm_for(obj):
        owners += world.cache[INSTANCES].by("deployment", deployment, namespace)
    for owner in owners:
        world.add(INSTANCE, namespace, owner["metadata"]["name"])


def _warm(world: World, obj: Object) -> None:
    for deployment in _warm_for(obj):
        world.add(WARM, obj["metadata"]["namespace"], deployment)


def _rule(world: World, obj: Object, gone: bool) -> None:
    namespace, instance_id = obj["metadata"]["namespace"], obj["spec"]["instance"]
    owners = world.cache[INSTANCES].by("id", instance_id, namespace)
    memory = world.state(Memories).known(namespace, instance_id)
    if memory is None and gone and any(not (owner.get("status") or {}).get("endTime") for owner in owners):
        # A deletion leaves no other trace for the first pass to find.
        memory = world.state(Memories).of(namespace, instance_id)
    if memory is not None:
        if not gone and memory.knows_rule(obj["metadata"]["name"], obj["metadata"]["resourceVersion"]):
            return
        memory.outdate_rules(version_of(obj))
    for owner in owners:
        world.add(INSTANCE, namespace, owner["metadata"]["name"])


def _vpn_client(world: World, obj: Object, _gone: bool) -> None:
    namespace = obj["metadata"]["namespace"]
    for owner in world.cache[INSTANCES].by("id", obj["spec"]["instance"], namespace):
        world.add(INSTANCE, namespace, owner["metadata"]["name"])


def _deployment(world: World, obj: Object, gone: bool) -> None:
    namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
    concerned = world.cache[INSTANCES].by("deployment", name, namespace)
    # Another operator may have taken it for one that waits, and have stopped leading since.
    if lease := (obj.get("status") or {}).get("lease"):
        concerned += world.cache[INSTANCES].by("id", lease["instance"], namespace)
    if gone:
        concerned += world.cache[INSTANCES].by("waiting", "yes", namespace)
    for instance in concerned:
        world.add(INSTANCE, namespace, instance["metadata"]["name"])


def _type(world: World, obj: Object, _gone: bool) -> None:
    world.add(POLICY, obj["metadata"]["namespace"], obj["metadata"]["name"])


def _node(world: World, obj: Object, _gone: bool) -> None:
    for pod in world.cache[PODS].by("node", obj["metadata"]["name"]):
        _of_instance(world, pod)


def _on_rules(world: World, namespace: str, version: int) -> None:
    world.state(RulesListed)[namespace] = version


async def _relisted(world: World) -> None:
    """Drop what is remembered of instances that are over; have the rest pushed again."""
    memories = world.state(Memories)
    living = (obj for obj in world.cache[INSTANCES] if not (obj.get("status") or {}).get("endTime"))
    memories.retain({(obj["metadata"]["namespace"], public_id(obj)) for obj in living})
    memories.outdate_pushes()


def _public_id(obj: Object) -> Iterable[str]:
    return (public_id(obj),)


def _active_deployment(obj: Object) -> Iterable[str]:
    status = obj.get("status") or {}
    return (status["deployment"],) if status.get("deployment") and not status.get("endTime") else ()


def _mentioned_deployments(obj: Object) -> Iterable[str]:
    parts = (obj["spec"].get("claim") or {}, obj.get("status") or {})
    return {part["deployment"] for part in parts if part.get("deployment")}


def _waiting(obj: Object) -> Iterable[str]:
    status = obj.get("status") or {}
    bound = status.get("epoch") or status.get("reason") or obj["spec"].get("claim")
    return () if bound else ("yes",)


def _opening(obj: Object) -> Iterable[str]:
    status = obj.get("status") or {}
    leased = status.get("epoch") or obj["spec"].get("claim")
    return ("yes",) if leased and not (status.get("readyTime") or status.get("reason")) else ()


def _warm_for(obj: Object) -> Iterable[str]:
    labels = obj["metadata"].get("labels") or {}
    return (labels[names.DEPLOYMENT_LABEL],) if names.WARM_LABEL in labels and names.DEPLOYMENT_LABEL in labels else ()


_OF_INSTANCE: Final = index_by("spec", "instance")
_LABEL: Final = index_by("metadata", "labels", names.INSTANCE_LABEL)
CONTROLLER: Final = Controller(
    watches=(
        Watch(
            INSTANCES,
            _instance,
            {
                "id": _public_id,
                "deployment": _active_deployment,
                "mentions": _mentioned_deployments,
                "waiting": _waiting,
                "opening": _opening,
                "block": blocks_held,
            },
        ),
        Watch(RULES, _rule, {"instance": _OF_INSTANCE}, on_list=_on_rules),
        Watch(VPN_CLIENTS, _vpn_client, {"instance": _OF_INSTANCE}),
        Watch(PODS, _child, {"instance": _LABEL, "node": index_by("spec", "nodeName"), "warm": _warm_for}, labels=OURS),
        Watch(SERVICES, _child, {"instance": _LABEL, "warm": _warm_for}, labels=OURS),
        Watch(JOBS, _child, {"instance": _LABEL}, labels=OURS),
        Watch(CLAIMS, _child, {"instance": _LABEL}, labels=OURS, optional=True),
        Watch(DEPLOYMENTS, _deployment),
        Watch(TYPES, _type),
        Watch(NODES, _node),
    ),
    passes={INSTANCE: reconcile_instance, WARM: reconcile_warm, POLICY: reconcile_policy},
    objects={INSTANCE: INSTANCES, WARM: DEPLOYMENTS, POLICY: TYPES},
    relisted=_relisted,
)
