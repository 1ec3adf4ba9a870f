"""Warm pods, by the cache."""

from berth_core.kube.types import Object
from berth_core.leases.availability import Lease
from berth_core.leases.epochs import epoch_of
from berth_core.resources import Instance, WorkspaceDeployment, WorkspaceType
from berth_operator.engine.world import World, node_is_ready
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.warm.decide import WarmSet, serves
from berth_operator.instances.warm.manifests import made_from
from berth_operator.kinds import DEPLOYMENTS, PODS, SERVICES, TYPES
from berth_operator.pods.cordon import is_cordoned
from berth_operator.pods.view import PodView, pod_view


def concerns(world: World, namespace: str, deployment: str) -> bool:
    """Whether pods are kept warm for a deployment, or something of such a pod is there."""
    # Asked in every pass over a deployment: nothing is parsed.
    wd = world.cache[DEPLOYMENTS].get(namespace, deployment)
    types = world.cache[TYPES].by("typeName", wd["spec"]["type"], namespace) if wd is not None else ()
    return any(type_["spec"].get("warm") for type_ in types) or bool(_objects_of(world, namespace, deployment))


def warm_sets(world: World, namespace: str, deployment: str) -> tuple[WarmSet, ...]:
    """Warm objects of a deployment, by epoch."""
    objects = _objects_of(world, namespace, deployment)
    wd = world.deployment(namespace, deployment)
    epochs = {epoch for obj in objects if (epoch := epoch_of(obj["metadata"]["labels"])) is not None}
    return tuple(_warm_set(world, namespace, deployment, wd, epoch) for epoch in sorted(epochs))


def offer(
    world: World, instance: Instance, wd: WorkspaceDeployment, type_: WorkspaceType, lease: Lease
) -> PodView | None:
    """Return the warm pod that an instance gets by its lease; None where it gets one of its own."""
    one = _warm_set(world, wd.metadata.namespace, wd.metadata.name, wd, lease.epoch)
    # Where there are hooks or devices, nothing touches the machine before the instance is bound.
    if one.pod is None or type_.spec.hooks.any or wd.devices:
        return None
    digest = made_from(LeaseParts(None, wd, type_, lease.epoch, warm=True), world.config)
    return one.pod if serves(one, instance, digest) else None


def _objects_of(world: World, namespace: str, deployment: str) -> list[Object]:
    return [obj for kind in (SERVICES, PODS) for obj in world.cache[kind].by("warm", deployment, namespace)]


def _warm_set(world: World, namespace: str, deployment: str, wd: WorkspaceDeployment | None, epoch: int) -> WarmSet:
    for obj in world.cache[PODS].by("warm", deployment, namespace):
        pod = pod_view(obj)
        if pod.epoch == epoch:
            node = world.node(pod.node)
            silent = bool(pod.node) and not node_is_ready(node)
            leaving = is_cordoned(node) and not pod.tolerates_cordon
            stray = wd is None or pod.nonce is None or pod.nonce != wd.warm_nonce(epoch)
            return WarmSet(epoch, pod, silent, stray=stray, leaving=leaving)
    return WarmSet(epoch)
