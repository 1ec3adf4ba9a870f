"""One pass over the warm objects of a WorkspaceDeployment (ADR 0013). Each step can be repeated."""

from collections.abc import Awaitable
from dataclasses import replace
from datetime import datetime

import structlog

from berth_core import ids, names
from berth_core.kube.errors import NotFoundError
from berth_core.kube.types import Kind, Object
from berth_core.resources import Instance, WorkspaceDeployment, WorkspaceType
from berth_core.resources.workspacedeployment import WarmSecrets
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import TermState, World
from berth_operator.engine.writes import create, refresh, refresh_pod, release_pod, together, write_status
from berth_operator.instances.decide import may_lack_secrets
from berth_operator.instances.firewall.policies import has_its_own, uphold
from berth_operator.instances.lease_secrets import agent_secret, has_secrets, host_key
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.manifests.policy import policy
from berth_operator.instances.manifests.service import service
from berth_operator.instances.warm import view
from berth_operator.instances.warm.decide import (
    Drawn,
    ObservedWarm,
    WarmSet,
    awaits_its_finalizer,
    decide,
    next_epoch_of,
)
from berth_operator.instances.warm.manifests import made_from, warm_pod
from berth_operator.kinds import INSTANCES, NODES, PODS, POLICIES, SECRETS, SERVICES
from berth_operator.leases.clearing import remove_pod
from berth_operator.leases.live import read_deployment
from berth_operator.leases.nonces import new_nonce, unused_where_unknown
from berth_operator.pods.cordon import last_cordon
from berth_operator.pods.view import pod_view

log = structlog.get_logger(__name__)


class WarmNonces(dict[tuple[str, str], Drawn], TermState):
    """Nonces for pods to be kept warm that no status names yet, by the deployment's namespace and name."""


async def reconcile_warm(world: World, key: Key) -> float | None:
    """Delete useless objects; make missing ones."""
    now = world.now()
    seen = _observe(world, key, now)
    if awaits_its_finalizer(seen.wd):
        return None
    if seen.sets and (seen.wd is None or any(one.stray for one in seen.sets)):
        # The cache may know of a pod before it knows what its deployment says of it.
        await read_deployment(world, key.namespace, key.name)
        seen = _observe(world, key, now)
    plan = decide(await _with_secrets(world, seen, now), now)
    for one in seen.sets:
        if one.epoch in plan.remove:
            await _remove(world, key, seen.wd, one)
    if plan.make is not None:
        # A lease that is taken meanwhile gets another pod: at least what is known already must be seen.
        await read_deployment(world, key.namespace, key.name)
        seen = _observe(world, key, now)
        plan = decide(seen, now)
        if plan.make is not None:
            await _make(world, seen, plan.make)
    return (plan.again_at - now).total_seconds() if plan.again_at is not None else None


def _observe(world: World, key: Key, now: datetime) -> ObservedWarm:
    wd = world.deployment(key.namespace, key.name)
    type_ = world.type_named(key.namespace, wd.spec.type) if wd is not None else None
    seen = ObservedWarm(
        wd,
        type_,
        view.warm_sets(world, key.namespace, key.name),
        others_wait=bool(world.cache[INSTANCES].by("opening", "yes")),
        cold=_has_a_cold_pod(world, wd),
        cordon=last_cordon(world.cache[NODES]),
    )
    epoch = next_epoch_of(seen, now)
    if wd is None or type_ is None or epoch is None:
        return seen
    return replace(seen, wanted=made_from(_parts(wd, type_, epoch), world.config))


async def _with_secrets(world: World, seen: ObservedWarm, now: datetime) -> ObservedWarm:
    """Look whether pods wait for Secrets that are gone."""
    wd, type_ = seen.wd, seen.type
    if wd is None or type_ is None:
        return seen

    async def look(one: WarmSet) -> WarmSet:
        pod = one.pod
        if pod is None or not may_lack_secrets(pod, now):
            return one
        return replace(one, lacks_secrets=not await has_secrets(world, _parts(wd, type_, one.epoch, pod.nonce)))

    return replace(seen, sets=tuple(await together(*(look(one) for one in seen.sets))))


def _has_a_cold_pod(world: World, wd: WorkspaceDeployment | None) -> bool:
    """Whether the instance that holds the lease was bound without the warm pod."""
    if wd is None or wd.status.lease is None:
        return False
    holders = world.cache[INSTANCES].by("id", wd.status.lease.instance, wd.metadata.namespace)
    bound = [i.status for i in map(Instance.parse, holders)]
    return any(status.epoch == wd.status.epoch and not status.warm for status in bound)


def _parts(wd: WorkspaceDeployment, type_: WorkspaceType, epoch: int, nonce: str | None = None) -> LeaseParts:
    return LeaseParts(None, wd, type_, epoch, warm=True, nonce=nonce)


async def _make(world: World, seen: ObservedWarm, epoch: int) -> None:
    """Make all that belongs to an epoch, the Service first and the pod last (ADR 0024).

    The pod is made once the deployment's status names its Secrets, written at the version that this was decided on.
    """
    wd = seen.wd
    if wd is None or seen.type is None:
        raise RuntimeError("only for a deployment with a type a pod is kept warm")
    place = (wd.metadata.namespace, wd.metadata.name)
    drawn = world.state(WarmNonces).get(place)
    if drawn is None or not drawn.serves(wd, epoch):
        drawn = world.state(WarmNonces)[place] = Drawn(wd.metadata.uid, epoch, new_nonce())
    nonce = drawn.nonce
    parts = _parts(wd, seen.type, epoch, nonce)
    world.cache[SERVICES].put(await world.client.apply(SERVICES, service(parts, world.config, ())))
    with unused_where_unknown(world.state(WarmNonces), place):
        key, *_ = await together(
            host_key(world, parts),
            agent_secret(world, parts),
            uphold(world, parts.type),
            *_own_policy(world, parts),
        )
    status = wd.status.model_copy(update={"warm": WarmSecrets(epoch=epoch, nonce=nonce)})
    await write_status(world, wd, wd.status, status)
    del world.state(WarmNonces)[place]
    before = wd.warm_nonce(epoch)
    if before is not None:
        await _remove_secrets(world, replace(parts, nonce=before))
    answer = await create(world, PODS, warm_pod(parts, world.config, key))
    if answer is None:
        await refresh_pod(world, parts.namespace, parts.name)
    else:
        world.cache[PODS].put(answer)
    log.info("warm pod made", deployment=wd.metadata.name, epoch=epoch)


def _own_policy(world: World, parts: LeaseParts) -> list[Awaitable[Object]]:
    own = has_its_own(world.config, parts, None)
    return [world.client.apply(POLICIES, policy(parts, (), world.config))] if own else []


async def _remove_secrets(world: World, parts: LeaseParts) -> None:
    await together(*(world.client.delete(SECRETS, parts.namespace, secret) for secret in parts.secrets))


async def _remove(world: World, key: Key, wd: WorkspaceDeployment | None, one: WarmSet) -> None:
    """Delete all objects of an epoch, the Service last; those that must wait for the pod's end go in a later pass.

    The next pod for the epoch has things of the same names: a deletion that comes late must not take those.
    """
    name = names.warm_object(ids.deployment_id(key.namespace, key.name), one.epoch)
    if wd is not None:
        await _unname(world, wd, one.epoch)
    if one.pod is not None:
        known = world.cache[PODS].get(key.namespace, name)
        if known is not None and known["metadata"]["uid"] == one.pod.uid:
            await remove_pod(world, key.namespace, name)
            await _let_go(world, key.namespace, wd, one.epoch)
        if world.cache[PODS].get(key.namespace, name) is not None:
            return
    labels = {names.WARM_LABEL: "true", **names.epoch_labels(one.epoch, key.name)}
    for kind in (SECRETS, POLICIES, SERVICES):
        remains, _ = await world.client.list(kind, key.namespace, labels=labels, metadata_only=True)
        await together(*(_delete(world, kind, obj["metadata"]) for obj in remains))
    await refresh(world, SERVICES, key.namespace, name)
    log.info("warm pod removed", deployment=key.name, epoch=one.epoch)


async def _unname(world: World, wd: WorkspaceDeployment, epoch: int) -> None:
    """Have the deployment's status name no pod for an epoch, at the version on which it was decided that nobody has it.

    A lease that was taken since makes this fail, and keeps the pod. One that is taken later does not get it. While the
    lease is held the status stays: its holder has another pod, or all of it is removed at the lease's end.
    """
    if wd.status.lease is not None or wd.warm_nonce(epoch) is None:
        return
    # Under a nonce that was named no Secret is made again, also where this write's answer is lost.
    world.state(WarmNonces).pop((wd.metadata.namespace, wd.metadata.name), None)
    await write_status(world, wd, wd.status, wd.status.model_copy(update={"warm": None}))


async def _let_go(world: World, namespace: str, wd: WorkspaceDeployment | None, epoch: int) -> None:
    """Let a pod that nobody ever had go with its Node, as Kubernetes does: no kubelet will say that it has ended.

    Either nobody has taken the lease of its epoch, or the holder has another pod: else it would not be removed yet.
    """
    if wd is None or not wd.has_begun or epoch < wd.status.epoch + int(wd.status.lease is None):
        return
    obj = world.cache[PODS].get(namespace, names.warm_object(wd.public_id, epoch))
    pod = pod_view(obj) if obj is not None else None
    if pod is not None and pod.deleting and pod.finalized and pod.node and world.node(pod.node) is None:
        await release_pod(world, namespace, pod.name)
        await refresh_pod(world, namespace, pod.name)


async def _delete(world: World, kind: Kind, metadata: Object) -> None:
    where, version = (metadata["namespace"], metadata["name"]), metadata["resourceVersion"]
    try:
        await world.client.delete(kind, *where, uid=metadata["uid"], resource_version=version)
    except NotFoundError:
        log.debug("somebody else deleted it", name=metadata["name"])
