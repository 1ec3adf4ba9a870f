"""Deletes what a lease has opened, and proves that it is gone."""

from collections.abc import Iterable
from typing import Final

import structlog

from berth_core import ids, names
from berth_core.kube.types import Kind, Object
from berth_core.leases.availability import Lease
from berth_operator.engine.world import World
from berth_operator.engine.writes import refresh_pod, release_pod, together
from berth_operator.kinds import JOBS, PODS, POLICIES, SECRETS, SERVICES
from berth_operator.pods.view import PodView, pod_view

log = structlog.get_logger(__name__)

FORBIDDEN_TO_REMAIN: Final = (SERVICES, SECRETS, JOBS, PODS)
"""Kinds of which a live list must find nothing before the lease is given back. They are deleted in this order: no pod
of a Job can start any more when its pods are counted."""

POD_GRACE: Final = 1


async def remove_pod(world: World, namespace: str, name: str) -> None:
    """Delete the pod as the cache knows it; let its object go once it is certain that nothing of it runs."""
    pod = _cached_pod(world, namespace, name)
    if pod is None:
        return
    if not pod.deleting:
        await world.client.delete(PODS, namespace, name, uid=pod.uid, grace_seconds=POD_GRACE)
        if pod.node and not pod.harmless:
            return  # the kubelet's news bring us back
        await refresh_pod(world, namespace, name)
        pod = _cached_pod(world, namespace, name)
    if pod is None or not pod.deleting or not pod.harmless:
        return
    if pod.finalized:
        await release_pod(world, namespace, name)
    # Nothing of it runs: the object need not wait for the kubelet to tidy up.
    await world.client.delete(PODS, namespace, name, uid=pod.uid, grace_seconds=0)
    await refresh_pod(world, namespace, name)


def _cached_pod(world: World, namespace: str, name: str) -> PodView | None:
    obj = world.cache[PODS].get(namespace, name)
    return pod_view(obj) if obj else None


async def clear_epoch(world: World, namespace: str, lease: Lease) -> bool:
    """Delete objects with a lease's epoch, kept warm or opened; True once a live list finds nothing of it."""
    labels = [names.epoch_labels(lease.epoch, lease.deployment)]
    if remains := await left_of(world, namespace, labels):
        await delete_all(world, remains)
        remains = await left_of(world, namespace, labels)
    if remains:
        log.info("not gone yet", deployment=lease.deployment, epoch=lease.epoch, left=names_of(remains))
        return False
    policy = names.warm_object(ids.deployment_id(namespace, lease.deployment), lease.epoch)
    await world.client.delete(POLICIES, namespace, policy)
    return True


async def left_of(world: World, namespace: str, labels: list[dict[str, str]]) -> list[tuple[Kind, Object]]:
    """Return what live lists find with any of some labels, of the kinds that must not remain."""
    queries = [(kind, chosen) for kind in FORBIDDEN_TO_REMAIN for chosen in labels]
    lists = await together(
        *(world.client.list(kind, namespace, labels=chosen, metadata_only=True) for kind, chosen in queries)
    )
    remains = {
        obj["metadata"]["uid"]: (kind, obj)
        for (kind, _), (objects, _) in zip(queries, lists, strict=True)
        for obj in objects
    }
    return list(remains.values())


def names_of(objects: Iterable[tuple[Kind, Object]]) -> list[str]:
    """Name objects for a log."""
    return [f"{kind.plural}/{obj['metadata']['name']}" for kind, obj in objects]


async def delete_all(world: World, objects: Iterable[tuple[Kind, Object]]) -> None:
    """Delete objects as they were found."""
    for kind, obj in objects:
        metadata = obj["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        if kind == PODS:
            await refresh_pod(world, namespace, name)
            await remove_pod(world, namespace, name)
        else:
            await world.client.delete(kind, namespace, name, uid=metadata["uid"])
