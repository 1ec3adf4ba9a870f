"""Deletes a pod of a lease, and lets its object go once it is certain that nothing of it runs."""

from typing import Final

from berth_operator.engine.writes import refresh_pod, release_pod
from berth_operator.instances.observed import PodView
from berth_operator.kinds import PODS
from berth_operator.pods import pod_view
from berth_operator.world import World

POD_GRACE: Final = 1


async def remove_pod(world: World, namespace: str, name: str) -> None:
    """Delete the pod as the cache knows it; take our finalizer off once it is certain that nothing of it runs."""
    pod = _known(world, namespace, name)
    if pod is None:
        return
    if not pod.deleting:
        await world.client.delete(PODS, namespace, name, uid=pod.uid, grace_seconds=POD_GRACE)
        if pod.node and not pod.harmless:
            return  # the kubelet's news bring us back
        await refresh_pod(world, namespace, name)
        pod = _known(world, namespace, name)
    if pod is None or not pod.deleting or not pod.harmless:
        return
    if pod.finalized:
        await release_pod(world, namespace, name)
    # Nothing of it runs: the object need not wait for the kubelet to tidy up.
    await world.client.delete(PODS, namespace, name, uid=pod.uid, grace_seconds=0)
    await refresh_pod(world, namespace, name)


def _known(world: World, namespace: str, name: str) -> PodView | None:
    found = world.store.get(PODS, namespace, name)
    return pod_view(found) if found else None
