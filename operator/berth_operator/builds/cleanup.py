"""Gives back what a build had: its machine first, then its Jobs, pods and Secrets. Each step can be repeated.

A live list by the build's label finds the machines, so that nothing is overlooked whatever the cache knows. Objects
of a later attempt stay: a former leader does not know that there is one.
"""

from collections.abc import Iterable
from typing import Final

import structlog

from berth_core import names
from berth_core.kube.errors import NotFoundError
from berth_core.kube.types import Object
from berth_operator.builds.artifacts import NotKept
from berth_operator.builds.manifests.jobs import Attempt
from berth_operator.builds.observe import attempt_of
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import World
from berth_operator.engine.writes import together
from berth_operator.kinds import BUILDS, INSTANCES, JOBS, PODS, POLICIES, SECRETS
from berth_operator.pods.view import goes

log = structlog.get_logger(__name__)

GRACE: Final = 1
AGAIN_SECONDS: Final = 1.0


async def clear(world: World, attempt: Attempt, *, pods_gone: bool) -> None:
    """Ask machines back, and delete all else of an attempt and those before; NetworkPolicies when no pod is left."""
    await _clear(world, attempt.build.metadata.namespace, attempt.id, attempt.attempt, pods_gone=pods_gone)


async def reconcile_remains(world: World, key: Key) -> float | None:
    """Clear what carries the label of a build (``key.name`` is its public id) that does not exist."""
    if world.cache[BUILDS].by("id", key.name, key.namespace):
        return None
    # Its status has its id before anything else carries it. A list of all builds is as large as users make them.
    builds, _ = await world.client.list(BUILDS, key.namespace, fields={"status.id": key.name}, metadata_only=True)
    if builds:
        return None
    world.state(NotKept).pop((key.namespace, key.name), None)
    pods = world.cache[PODS].by("build", key.name, key.namespace)
    await _clear(world, key.namespace, key.name, None, pods_gone=not pods)
    log.info("deleted the remains of a deleted build", build=key.name)
    return AGAIN_SECONDS if pods else None


async def _clear(world: World, namespace: str, build_id: str, last: int | None, *, pods_gone: bool) -> None:
    """Clear attempts up to the last; all of them where that is None."""

    def of_these(candidates: Iterable[Object]) -> list[Object]:
        return [obj for obj in candidates if last is None or attempt_of(obj["metadata"]) <= last]

    labels = {names.BUILD_LABEL: build_id}
    instances, _ = await world.client.list(INSTANCES, namespace, labels=labels)
    await together(*(_dismiss(world, instance) for instance in of_these(instances)))
    for pod in of_these(world.cache[PODS].by("build", build_id, namespace)):
        if not goes(pod):
            await world.client.delete(
                PODS, namespace, pod["metadata"]["name"], uid=pod["metadata"]["uid"], grace_seconds=GRACE
            )
    # Pods first: what deletes them after their Job gives them all the time that they ask for.
    for job in of_these(world.cache[JOBS].by("build", build_id, namespace)):
        await world.client.delete(JOBS, namespace, job["metadata"]["name"], uid=job["metadata"]["uid"])
    kinds = (SECRETS, POLICIES) if pods_gone else (SECRETS,)
    for kind in kinds:
        objects, _ = await world.client.list(kind, namespace, labels=labels, metadata_only=True)
        for obj in of_these(objects):
            await world.client.delete(kind, namespace, obj["metadata"]["name"], uid=obj["metadata"]["uid"])


async def _dismiss(world: World, instance: Object) -> None:
    """End an Instance, as its holder would."""
    metadata, status = instance["metadata"], instance.get("status") or {}
    if instance["spec"].get("terminate") or status.get("endTime"):
        return
    try:
        body = {"spec": {"terminate": True}}
        world.cache[INSTANCES].put(await world.client.patch(INSTANCES, metadata["namespace"], metadata["name"], body))
        log.info("machine given back", instance=metadata["name"])
    except NotFoundError:
        log.info("the machine's Instance is gone", instance=metadata["name"])
