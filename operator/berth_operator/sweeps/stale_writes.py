"""Cleans up late writes of a former leader, which was stopped at a write and went on after another had gone further.

A write that changes or deletes an object names its version or uid, and is refused. A create is not refused, nor is a
NetworkPolicy that is applied. Both are looked for when a process begins to lead, often in its first minutes, and with
each relist, since a process may be stopped for an unknown time.
"""

from collections.abc import Container, Sequence
from typing import Final

import structlog

from berth_core import builds, names
from berth_core.kube.cache import version_of
from berth_core.kube.types import Kind, Object
from berth_core.leases.epochs import epoch_of
from berth_core.resources import Build
from berth_operator.builds.observe import attempt_of, pods_of
from berth_operator.engine.cache import public_id
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import World
from berth_operator.instances.ending import clear
from berth_operator.instances.firewall.policies import look_at_types
from berth_operator.instances.memory import Memories, Memory
from berth_operator.kinds import (
    BUDGETS,
    BUILDS,
    INSTANCE,
    INSTANCES,
    LATE,
    ORPHAN,
    OURS,
    POLICIES,
    RULES,
    SECRETS,
    SERVICES,
)
from berth_operator.sweeps.stale_secrets import sweep_secrets

log = structlog.get_logger(__name__)

FIRST_SECONDS: Final = 10.0
"""After which a new leader looks: by then it has bound instances that another had begun to bind."""
AGAIN_SECONDS: Final = 60.0
TIMES: Final = 10
"""How often one that has begun to lead looks again: in that time a former leader is most likely to go on."""


async def run(world: World) -> None:
    """Ask for looks again and again from now on; the keys' names count the times."""
    world.queue.add_after(Key(LATE, "", "0"), FIRST_SECONDS)


async def sweep_late(world: World, key: Key) -> float | None:
    """Clear objects of what had ended, and have NetworkPolicies applied anew that others changed or deleted."""
    for namespace in world.config.workspace_namespaces:
        made, walls, as_of = set[str](), dict[str, Object](), "0"
        await _delete_budgets(world, namespace)
        for kind in (SECRETS, SERVICES, POLICIES):
            # Some at a time: all of them at once would take memory that a process does not give back.
            async for objects, version in world.client.pages(kind, namespace, labels=OURS, metadata_only=True):
                await _look_at(world, kind, objects)
                made.update(map(_instance_of, objects))
                if kind == POLICIES:
                    walls.update((obj["metadata"]["name"], obj) for obj in objects)
                    as_of = version
        _restore(world, namespace, walls, int(as_of))
        look_at_types(world, namespace, walls.values(), int(as_of))
        made.discard("")
        ruled = {rule["spec"]["instance"] for rule in world.cache[RULES] if _is_in(rule, namespace)}
        for instance_id in sorted(made | ruled):
            if not (instances := world.cache[INSTANCES].by("id", instance_id, namespace)):
                if instance_id in made:  # a rule may be made before its Instance
                    world.add(ORPHAN, namespace, instance_id)
            elif all((obj.get("status") or {}).get("endTime") for obj in instances):
                await clear(world, namespace, instance_id, None)
                world.state(Memories).forget(namespace, instance_id)
                log.warning("deleted a stale write", instance=instance_id, namespace=namespace)
    if key.name and int(key.name) < TIMES:
        world.queue.add_after(Key(LATE, "", str(int(key.name) + 1)), AGAIN_SECONDS)
    return None


async def _delete_budgets(world: World, namespace: str) -> None:
    """Delete PodDisruptionBudgets of an earlier version, which made one for each lease (ADR 0048).

    A drain waits for a pod that one budget chooses, and gives up on one that two do. Without the namespace's own, the
    earlier ones stay.
    """
    present: dict[str, Object] = {}
    async for budgets, _ in world.client.pages(BUDGETS, namespace, metadata_only=True):
        present |= {budget["metadata"]["name"]: budget["metadata"].get("labels") or {} for budget in budgets}
    if names.LEASES_BUDGET not in present:
        return
    for name in (name for name, labels in present.items() if OURS.items() <= labels.items()):
        await world.client.delete(BUDGETS, namespace, name)


async def _look_at(world: World, kind: Kind, objects: Sequence[Object]) -> None:
    if kind == POLICIES:
        for policy in objects:
            _compare(world, policy)
    await _clear_over(world, kind, objects)
    if kind == SECRETS:
        await sweep_secrets(world, objects)


async def _clear_over(world: World, kind: Kind, objects: Sequence[Object]) -> None:
    """Delete objects of a build that is over, or of a pod that was kept warm for an epoch that is over."""
    for obj in objects:
        metadata = obj["metadata"]
        if _is_over(world, metadata):
            await world.client.delete(kind, metadata["namespace"], metadata["name"], uid=metadata["uid"])
            log.warning("deleted a stale write", kind=kind.plural, name=metadata["name"])


def _is_over(world: World, metadata: Object) -> bool:
    """Whether the labels name an attempt at a build that is over, or a warm pod's epoch that was given back.

    Neither comes back, so that a cache knows.
    """
    labels = metadata["labels"]
    if build_id := labels.get(names.BUILD_LABEL):
        builds = world.cache[BUILDS].by("id", build_id, metadata["namespace"])
        if pods_of(world, metadata["namespace"], build_id):
            return False  # a silent node may still run it: its NetworkPolicy shuts it in
        # Remains of a build that is gone go with it, by their owner references.
        return bool(builds) and all(_has_ended(Build.parse(obj), attempt_of(metadata)) for obj in builds)
    if names.WARM_LABEL not in labels:
        return False
    wd = world.deployment(metadata["namespace"], labels.get(names.DEPLOYMENT_LABEL, ""))
    if wd is None:
        return False  # it is the owner: all goes with it
    if (epoch := epoch_of(labels)) is None:
        return False  # it is not Berth's
    return epoch < wd.status.epoch or (epoch == wd.status.epoch and wd.status.lease is None)


def _has_ended(build: Build, attempt: int) -> bool:
    """Whether an attempt at a build is over."""
    latest = build.status.attempt or 0
    return attempt < latest or (attempt == latest and builds.has_ended(build))


def _compare(world: World, policy: Object) -> None:
    """Have the pass over an instance apply its NetworkPolicy where it is not as that pass left it."""
    metadata, instance_id = policy["metadata"], _instance_of(policy) or _holder_of_warm(world, policy)
    memory = world.state(Memories).known(metadata["namespace"], instance_id)
    if memory is None or not memory.policy or version_of(policy) <= memory.policy_version:
        return
    if metadata.get("generation") == memory.policy_generation:
        return
    if memory.policy_generation:  # of a pod that was kept warm it is not known until it is applied
        log.warning("another has changed a NetworkPolicy", instance=instance_id, namespace=metadata["namespace"])
    _apply_anew(world, memory, metadata["namespace"], instance_id)


def _restore(world: World, namespace: str, walls: Container[str], as_of: int) -> None:
    """Have NetworkPolicies applied again that a list, as of a version, does not show though they were applied."""
    for (of, instance_id), memory in world.state(Memories).by_id.items():
        if of != namespace or not memory.policy or memory.ending_since is not None:
            continue
        if memory.policy_name and memory.policy_name not in walls and memory.policy_version <= as_of:
            log.warning("another has deleted a NetworkPolicy", instance=instance_id, namespace=namespace)
            _apply_anew(world, memory, namespace, instance_id)


def _apply_anew(world: World, memory: Memory, namespace: str, instance_id: str) -> None:
    memory.outdate_policy()
    for owner in world.cache[INSTANCES].by("id", instance_id, namespace):
        world.add(INSTANCE, namespace, owner["metadata"]["name"])


def _holder_of_warm(world: World, policy: Object) -> str:
    """Public id of the instance that has the warm pod which a NetworkPolicy is about; empty where none has."""
    labels, namespace = policy["metadata"].get("labels") or {}, policy["metadata"]["namespace"]
    for obj in world.cache[INSTANCES].by("deployment", labels.get(names.DEPLOYMENT_LABEL, ""), namespace):
        status = obj["status"]
        if names.WARM_LABEL in labels and status.get("warm") and status.get("epoch") == epoch_of(labels):
            return public_id(obj)
    return ""


def _instance_of(obj: Object) -> str:
    return str(obj["metadata"].get("labels", {}).get(names.INSTANCE_LABEL, ""))


def _is_in(obj: Object, namespace: str) -> bool:
    return bool(obj["metadata"]["namespace"] == namespace)
