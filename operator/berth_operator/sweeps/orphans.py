"""Deletes remains of instances that do not exist: their pods, and private keys in the access namespace."""

from datetime import timedelta
from typing import Final

import structlog

from berth_core import names
from berth_core.kube.model import parse_time
from berth_core.kube.types import Object
from berth_core.reading import at
from berth_operator.engine.cache import public_id
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import World
from berth_operator.instances.ending import clear, leases_of
from berth_operator.instances.memory import Memories
from berth_operator.kinds import DEPLOYMENT, DEPLOYMENTS, INSTANCES, OURS, SECRETS

log = structlog.get_logger(__name__)

KEPT_FOR: Final = timedelta(seconds=30)
SWEEP_SECONDS: Final = 30.0
CLEARING_SECONDS: Final = 1.0


async def reconcile_orphan(world: World, key: Key) -> float | None:
    """Clear objects with the label of an instance (``key.name`` is its public id) that does not exist.

    Where a lease says that the instance has a deployment, that deployment's pass does it, in its time.
    """
    if world.cache[INSTANCES].by("id", key.name, key.namespace):
        return None
    async for page, _ in world.client.pages(INSTANCES, key.namespace, metadata_only=True):
        if any(public_id(obj) == key.name for obj in page):
            return None
    for lease in await leases_of(world, key.namespace, key.name):
        world.add(DEPLOYMENT, key.namespace, lease.deployment)
        return None
    if not await clear(world, key.namespace, key.name, None):
        return CLEARING_SECONDS
    world.state(Memories).forget(key.namespace, key.name)
    log.warning("deleted the remains of an instance", instance=key.name, namespace=key.namespace)
    return None


async def sweep_access(world: World, _key: Key) -> float | None:
    """Delete private keys whose instance does not exist, 30 s after they were made (their Instance may follow).

    Secrets with an expiry of their own (``sweeps/expired.py``) are left alone, whatever labels they carry.
    """
    namespace, labels = world.config.access_namespace, OURS | {names.INSTANCE_LABEL: ""}
    now, again, due = world.now(), SWEEP_SECONDS, list[tuple[str, Object]]()
    async for secrets, _ in world.client.pages(SECRETS, namespace, labels=labels, metadata_only=True):
        for metadata in (secret["metadata"] for secret in secrets):
            if names.EXPIRES_ANNOTATION in metadata.get("annotations", {}):
                continue
            instance_id = metadata["labels"][names.INSTANCE_LABEL]
            seconds = (parse_time(metadata["creationTimestamp"]) + KEPT_FOR - now).total_seconds()
            if seconds > 0:
                again = min(again, seconds)
            elif world.clock.trusted and not _seems_needed(world, instance_id):
                due.append((instance_id, metadata))
    living = await _living(world) if due else set()
    for instance_id, metadata in due:
        if instance_id not in living:
            await world.client.delete(SECRETS, namespace, metadata["name"], uid=metadata["uid"])
            log.info("deleted a private key without an instance", instance=instance_id)
    return again


def _seems_needed(world: World, instance_id: str) -> bool:
    """Whether the cache knows that the instance exists and has not ended, or that a lease waits for it."""
    instances = world.cache[INSTANCES].by("id", instance_id)
    return any(map(_lives, instances)) or bool(world.cache[DEPLOYMENTS].by("holder", instance_id))


async def _living(world: World) -> set[str]:
    """Public ids of all instances that have not ended, read live: those made with kubectl have names of their own."""
    return {
        public_id(obj)
        for namespace in world.config.workspace_namespaces
        async for page, _ in world.client.pages(INSTANCES, namespace)
        for obj in page
        if _lives(obj)
    }


def _lives(instance: Object) -> bool:
    return not at(instance, "status", "endTime")
