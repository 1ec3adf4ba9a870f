"""Deletes Secrets of live leases that no status names: a former leader made them and lost its compare-and-swap.

No pod mounts them (ADR 0024). Where a leader that overlaps names one between the look and the deletion, its pod waits
in vain and is made anew. Secrets that this process is making right now, which no status names either, are left alone.
"""

from collections.abc import Sequence

import structlog

from berth_core import names
from berth_core.kube.errors import NotFoundError, UnreadableError
from berth_core.kube.types import Object
from berth_core.leases.epochs import epoch_of
from berth_core.reading import report
from berth_core.resources import Instance, WorkspaceDeployment
from berth_operator.engine.world import World
from berth_operator.instances.memory import Memories
from berth_operator.instances.warm.reconcile import WarmNonces
from berth_operator.kinds import INSTANCES, SECRETS
from berth_operator.leases.live import read_deployment

log = structlog.get_logger(__name__)


async def sweep_secrets(world: World, secrets: Sequence[Object]) -> None:
    """Delete stale Secrets among those that a live list has found (metadata only)."""
    for secret in secrets:
        metadata = secret["metadata"]
        if await _is_lost(world, metadata):
            await world.client.delete(SECRETS, metadata["namespace"], metadata["name"], uid=metadata["uid"])
            log.warning("cleared a Secret that no status names", name=metadata["name"])


async def _is_lost(world: World, metadata: Object) -> bool:
    labels = metadata["labels"]
    try:
        if names.INSTANCE_LABEL in labels:
            return await _instance_lost(world, metadata, labels)
        return names.WARM_LABEL in labels and await _warm_lost(world, metadata, labels)
    except UnreadableError as error:
        report(error)
        return False  # the object may name it


async def _instance_lost(world: World, metadata: Object, labels: Object) -> bool:
    namespace, name = metadata["namespace"], metadata["name"]
    cached = world.cache[INSTANCES].by("id", labels[names.INSTANCE_LABEL], namespace)
    if not cached or name in _names(world, Instance.parse(cached[0]), labels):
        return False
    try:
        live = Instance.parse(await world.client.get(INSTANCES, namespace, cached[0]["metadata"]["name"]))
    except NotFoundError:
        return False
    # One that is not bound names none yet; one that ends deletes all of its own.
    settles = live.status.epoch is None or live.status.reason is not None
    return not settles and name not in _names(world, live, labels)


def _names(world: World, instance: Instance, labels: Object) -> set[str]:
    """Names that Secrets with these labels may have: by the status, and by what this process is making."""
    memory = world.state(Memories).of(instance.metadata.namespace, instance.public_id)
    status, hook = instance.status, labels.get(names.HOOK_LABEL)
    if hook is not None:
        job = names.hook_object(instance.public_id, status.epoch or 0, hook)
        return {names.hook_secret(job, one) for one in _either(status.hook_nonces.get(hook), memory.nonces.get(hook))}
    nonces = _either(status.nonce, memory.nonces.get(""))
    return _of_pod({names.workspace_secret(instance.public_id, status.epoch or 0, nonce) for nonce in nonces})


async def _warm_lost(world: World, metadata: Object, labels: Object) -> bool:
    namespace, deployment = metadata["namespace"], labels.get(names.DEPLOYMENT_LABEL, "")
    epoch, name = epoch_of(labels), metadata["name"]
    if epoch is None:
        return False  # it is not Berth's
    cached = world.deployment(namespace, deployment)
    if cached is None or name in _named_warm(world, cached, epoch):
        return False  # of one that is gone: it is the owner, all goes with it
    live = await read_deployment(world, namespace, deployment)
    return live is not None and name not in _named_warm(world, live, epoch)


def _named_warm(world: World, wd: WorkspaceDeployment, epoch: int) -> set[str]:
    """Names that Secrets of an epoch's warm pod may have, or of the instance that claimed it."""
    namespace, deployment = wd.metadata.namespace, wd.metadata.name
    making = world.state(WarmNonces).get((namespace, deployment))
    nonces = _either(wd.warm_nonce(epoch), making.nonce if making is not None and making.serves(wd, epoch) else None)
    for obj in world.cache[INSTANCES].by("deployment", deployment, namespace):
        holder = Instance.parse(obj)
        if holder.status.warm and holder.status.epoch == epoch:
            memory = world.state(Memories).of(namespace, holder.public_id)
            nonces |= _either(holder.status.nonce, memory.nonces.get(""))
    pod = names.warm_object(wd.public_id, epoch)
    return _of_pod({names.warm_secret(pod, nonce) for nonce in nonces})


def _either(named: str | None, making: str | None) -> set[str | None]:
    return {named} if making is None else {named, making}


def _of_pod(workspace: set[str]) -> set[str]:
    """Names of all Secrets that belong to those of workspaces."""
    return workspace | {part(name) for name in workspace for part in (names.agent_secret, names.vpn_secret)}
