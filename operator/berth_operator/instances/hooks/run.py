"""Runs the hooks of a lease as Jobs: one before the workspace is opened, two when it has ended.

Their outcome is written into the Instance's status before their Jobs are deleted, so that no hook runs twice. The write
that gives the lease back puts it into the deployment's status too, so that nobody takes a machine that failed.
"""

from collections.abc import Sequence

import structlog

from berth_core import names
from berth_core.kube.conditions import Condition
from berth_core.kube.errors import AlreadyExistsError, InvalidError
from berth_core.leases.availability import Lease
from berth_core.resources import Instance
from berth_core.resources.instance import InstanceStatus
from berth_core.resources.workspacetype import Hook
from berth_operator.engine.world import World
from berth_operator.engine.writes import create, refresh, write_status
from berth_operator.instances import status
from berth_operator.instances.decide import LONGEST_WORDS
from berth_operator.instances.hooks.decide import (
    CLEAN,
    PREPARE,
    TYPE_MISSING,
    Cleaning,
    cleaned,
    hook_view,
    next_after,
    not_cleaning,
    quarantine,
    wanted_after,
)
from berth_operator.instances.lease_secrets import lease_parts
from berth_operator.instances.manifests import claim
from berth_operator.instances.manifests import hook as build
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.manifests.policy import closed_policy
from berth_operator.instances.memory import Memories
from berth_operator.instances.observed import HookView, ObservedInstance, Progress
from berth_operator.instances.plan import Plan
from berth_operator.kinds import DEPLOYMENT, JOBS, PODS, POLICIES, SECRETS
from berth_operator.leases.clearing import remove_pod
from berth_operator.leases.nonces import new_nonce, unused_where_unknown
from berth_operator.machines import claims
from berth_operator.pods.view import pod_view

log = structlog.get_logger(__name__)


async def look(world: World, instance: Instance, hook: str) -> HookView | None:
    """How far a hook of the instance's lease is; None while it was not started."""
    namespace, public_id = instance.metadata.namespace, instance.public_id
    job = world.cache[JOBS].get(namespace, names.hook_object(public_id, instance.status.epoch or 0, hook))
    if job is None:
        return None
    view = hook_view(job, ())
    if view.progress is not Progress.FAILED:
        return view
    # Events of several kinds come in no certain order: the pods' last words may not be known yet.
    pods, _ = await world.client.list(PODS, namespace, labels=_labels(public_id, hook))
    return hook_view(job, [pod_view(pod) for pod in pods])


async def prepare(world: World, seen: ObservedInstance, plan: Plan) -> None:
    """Start the hook that runs before the workspace is opened, and say so."""
    instance = seen.instance
    if seen.deployment is None or seen.type is None or seen.type.spec.hooks.prepare is None:
        raise RuntimeError("only an instance of a type with the hook prepare is prepared")
    lease = LeaseParts(instance, seen.deployment, seen.type, instance.status.epoch or 0)
    shown = status.reported(seen, plan, world.now())
    await _start(world, lease, (PREPARE, seen.type.spec.hooks.prepare), shown)


async def prepared(world: World, seen: ObservedInstance) -> None:
    """Write down that the hook has succeeded."""
    instance = seen.instance
    await write_status(world, instance, instance.status, status.prepared(instance, world.now()))
    log.info("prepared", instance=instance.public_id)


async def clean(world: World, instance: Instance, leases: Sequence[Lease]) -> Sequence[Condition] | None:
    """Take the next step towards a machine that the next holder can have; None while there is more to do.

    At the end: the conditions that the deployment gets with the end of the lease. Only the holder of the live lease
    may touch the machine, and only a bound instance has touched it.
    """
    mine = Lease(instance.status.deployment or "", instance.status.epoch or 0)
    if mine not in leases:
        return ()
    now = world.now()
    if (verdict := cleaned(instance)) is not None:
        reason, message = verdict
        if reason == CLEAN:
            return [not_cleaning(now)]
        sentence = f"after instance {instance.public_id} (epoch {mine.epoch}) {message}"
        return [not_cleaning(now), quarantine(mine.deployment, reason, sentence, now)]
    lease = lease_parts(world, instance, mine)
    if lease is None:
        sentence = f"after instance {instance.public_id} (epoch {mine.epoch}) nobody knows its hooks: its type is gone"
        return [not_cleaning(now), quarantine(mine.deployment, TYPE_MISSING, sentence, now)]
    hooks = dict(wanted_after(lease.type.spec.hooks))
    if not hooks:
        return ()
    views = {name: view for name in hooks if (view := await look(world, instance, name)) is not None}
    step = next_after(list(hooks), views)
    shown = status.cleaning(instance, step, now)
    if step.start:
        try:
            await _start(world, lease, (step.hook, hooks[step.hook]), shown)
        except InvalidError as error:
            # The cluster would refuse it in each pass, and the lease would never go back.
            step = Cleaning(step.hook, failure=f"the cluster refuses it: {error.message[:LONGEST_WORDS]}")
            await write_status(world, instance, instance.status, status.cleaning(instance, step, now))
    else:
        await write_status(world, instance, instance.status, shown)
    if step.verdict:
        log.info("cleaned", instance=lease.id, deployment=mine.deployment, outcome=step.reason, message=step.message)
    world.add(DEPLOYMENT, instance.metadata.namespace, mine.deployment)
    return None


async def _start(world: World, lease: LeaseParts, entry: tuple[str, Hook], shown: InstanceStatus) -> None:
    """Start a hook behind a shut door, and write the status. Safe to repeat: a lease has one Job of each name.

    The order is that of a lease's pod (ADR 0024): its Secret, the status that names it, then the Job. A Secret that the
    status names is never made again.
    """
    (name, hook), instance = entry, lease.holder
    namespace = instance.metadata.namespace
    if not await _nothing_runs(world, lease, name):
        await write_status(world, instance, instance.status, shown)
        return
    memory = world.state(Memories).of(namespace, lease.id)
    memory.hooks, memory.policy = True, ""
    await world.client.apply(POLICIES, closed_policy(lease, world.config))
    nonce = shown.hook_nonces.get(name)
    if nonce is None:
        nonce = memory.nonces.setdefault(name, new_nonce())
        with unused_where_unknown(memory.nonces, name):
            await create(world, SECRETS, build.secret(lease, name, nonce))
        shown = status.hook_starts(shown, name, nonce)
    await write_status(world, instance, instance.status, shown)
    memory.nonces.pop(name, None)
    await claims.make(world, claim.claims(lease))
    manifest = build.job(lease, name, nonce, hook, world.config)
    try:
        world.cache[JOBS].put(await world.client.create(JOBS, namespace, manifest))
    except AlreadyExistsError:
        world.cache[JOBS].put(await world.client.get(JOBS, namespace, manifest["metadata"]["name"]))
    log.info("hook started", hook=name, instance=lease.id, deployment=lease.deployment.metadata.name, epoch=lease.epoch)


async def _nothing_runs(world: World, lease: LeaseParts, name: str) -> bool:
    """Whether no pod of a hook is left whose Job somebody deleted: it may still move the machine."""
    namespace, job = lease.holder.metadata.namespace, names.hook_object(lease.id, lease.epoch, name)
    pods, _ = await world.client.list(PODS, namespace, labels=_labels(lease.id, name))
    if not pods:
        return True
    await refresh(world, JOBS, namespace, job)
    if world.cache[JOBS].get(namespace, job) is None:
        for pod in pods:
            world.cache[PODS].put(pod)
            await remove_pod(world, namespace, pod["metadata"]["name"])
    return False


def _labels(public_id: str, hook: str) -> dict[str, str]:
    return {names.INSTANCE_LABEL: public_id, names.HOOK_LABEL: hook}
