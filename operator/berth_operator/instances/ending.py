"""The steps that end a lease: write down that it ends, close and delete, prove that nothing is left, give it back."""

import time
from collections.abc import Container, Iterable
from dataclasses import replace
from typing import Final

import structlog

from berth_core import ids, names
from berth_core.kube.conditions import Condition, find
from berth_core.kube.types import Kind, Object
from berth_core.leases import leasing
from berth_core.leases.availability import QUARANTINED, Lease
from berth_core.resources import Instance
from berth_operator.agents.client import AgentAddress, AgentClient
from berth_operator.engine import metrics
from berth_operator.engine.world import World
from berth_operator.engine.writes import set_finalizer, together, write_status
from berth_operator.errors import AgentError
from berth_operator.instances import status
from berth_operator.instances.firewall import desired
from berth_operator.instances.hooks import ends
from berth_operator.instances.hooks.decide import AFTER
from berth_operator.instances.keepalive import pings
from berth_operator.instances.memory import Memories
from berth_operator.instances.observe import pod_of
from berth_operator.instances.observed import ObservedInstance
from berth_operator.instances.plan import Plan
from berth_operator.instances.vpn import clients
from berth_operator.instances.warm import view
from berth_operator.kinds import (
    DEPLOYMENT,
    DEPLOYMENTS,
    INSTANCES,
    JOBS,
    POLICIES,
    RULES,
    SECRETS,
    SERVICES,
    VPN_CLIENTS,
)
from berth_operator.leases.clearing import clear_epoch, delete_all, left_of, names_of, remove_pod
from berth_operator.machines import claims
from berth_operator.pods.view import PodView

log = structlog.get_logger(__name__)

CLOSE_SECONDS: Final = 0.3


async def end(world: World, seen: ObservedInstance, plan: Plan) -> None:
    """Write down that and why it ends, from when on it cannot be undone, and ask for its pod's deletion."""
    instance, namespace = seen.instance, seen.instance.metadata.namespace
    await write_status(world, instance, instance.status, status.ending(instance, plan, world.now()))
    log.info("ends", instance=instance.public_id, reason=plan.reason, message=plan.message)
    world.add(DEPLOYMENT, namespace, instance.status.deployment or "")
    pod = pod_of(world, namespace, instance.public_id)
    await remove_pod(world, namespace, pod.name if pod is not None else names.instance_object(instance.public_id))


async def mark(world: World, seen: ObservedInstance, plan: Plan) -> None:
    """Write down that the lease of an Instance goes back unused (:mod:`berth_operator.leases.returning`)."""
    if seen.held is None:
        raise RuntimeError("only the lease of an instance that has one goes back")
    instance = seen.instance
    await write_status(world, instance, instance.status, status.returning(instance, seen.held, plan, world.now()))


async def tear_down(world: World, seen: ObservedInstance) -> bool:
    """Take the next step towards nothing; whether the lease was given back and the status says so."""
    instance, namespace = seen.instance, seen.instance.metadata.namespace
    memory = world.state(Memories).of(namespace, instance.public_id)
    memory.stop_probe()
    if memory.ending_since is None:
        memory.ending_since = time.monotonic()
    lease_of = await _lease_of(world, instance)
    if instance.status.end_time is None:
        await claims.reserve(world, instance)  # for the hooks that follow its pod
    if not await shut(world, namespace, instance.public_id, lease_of):
        return False
    leases = await leases_of(world, namespace, instance.public_id)
    for other in leases:
        # One that was taken beside it opened nothing, but may have brought a warm pod.
        if other != lease_of and not await clear_epoch(world, namespace, other):
            return False
    outcome = await ends.clean(world, instance, leases)
    if outcome is None or not await sweep(world, namespace, instance.public_id, lease_of):
        return False
    await pings.forget(world, instance)
    now = world.now()
    for lease in leases:
        is_used = lease == lease_of  # what was taken beside it was never touched, so no hook has judged it
        verdict = outcome.get(lease, ())
        count_failed_end(verdict)
        await leasing.give_back(
            world.client,
            namespace,
            lease,
            instance=instance.public_id,
            completed=is_used and status.was_ready(instance),
            now=now,
            conditions=verdict,
        )
        log.info("lease given back", instance=instance.public_id, deployment=lease.deployment, epoch=lease.epoch)
    await write_status(world, instance, instance.status, status.ended(instance, now))
    if not instance.status.end_time:
        metrics.TEARDOWN_SECONDS.observe(time.monotonic() - memory.ending_since)
    world.state(Memories).forget(namespace, instance.public_id)
    return True


def count_failed_end(conditions: Iterable[Condition]) -> None:
    """Count the end of a lease that puts its machine in quarantine."""
    if (verdict := find(conditions, QUARANTINED)) is not None and verdict.status == "True":
        metrics.LEASE_ENDS_FAILED.labels(verdict.reason).inc()


async def forget(world: World, seen: ObservedInstance) -> None:
    """Let a deleted Instance go."""
    await set_finalizer(world, seen.instance, present=False)
    world.state(Memories).forget(seen.instance.metadata.namespace, seen.instance.public_id)


async def retire(world: World, seen: ObservedInstance, plan: Plan) -> None:
    """Clear a pod away that will not serve again. Its lease, Secrets and Service stay."""
    instance = seen.instance
    if seen.pod is None:
        return
    namespace = instance.metadata.namespace
    await write_status(world, instance, instance.status, status.reported(seen, plan, world.now()))
    await remove_pod(world, namespace, seen.pod.name)


async def clear(world: World, namespace: str, instance_id: str, lease: Lease | None) -> bool:
    """Delete all that an instance opened, its hooks too; True once a live list finds nothing of it or its epoch."""
    return await shut(world, namespace, instance_id, lease) and await sweep(world, namespace, instance_id, lease)


async def shut(world: World, namespace: str, instance_id: str, lease: Lease | None) -> bool:
    """Delete all but the hooks that run after the end; True once a live list finds no more. Ingress closes first."""
    pod = pod_of(world, namespace, instance_id)
    memory = world.state(Memories).of(namespace, instance_id)
    warm = _warm_name(world, namespace, lease)
    names_left = [] if memory.cleared else _expected_objects(world, namespace, instance_id, lease, warm)
    await together(
        _close(world, namespace, instance_id, pod),
        *(world.client.delete(kind, namespace, name) for kind, name in names_left),
        remove_pod(world, namespace, pod.name if pod is not None else names.instance_object(instance_id)),
    )
    memory.cleared = True
    if pod_of(world, namespace, instance_id) is not None:
        return False
    return await _gone(world, namespace, instance_id, lease, but=AFTER)


async def sweep(world: World, namespace: str, instance_id: str, lease: Lease | None) -> bool:
    """Delete what is left when nobody can come in any more, and free its devices.

    Hooks go first, and last the NetworkPolicy, which kept them in.
    """
    warm, memory = _warm_name(world, namespace, lease), world.state(Memories).of(namespace, instance_id)
    if memory.hooks and not await _gone(world, namespace, instance_id, lease):
        return False
    if not await claims.let_go(world, namespace, instance_id):
        return False
    name = names.instance_object(instance_id)
    walls = set[str | None]() if memory.held_by_type else {name, warm, memory.policy_name}
    await together(
        *(world.client.delete(POLICIES, namespace, of) for of in walls if of),
        world.client.delete(SECRETS, world.config.access_namespace, name),
        _delete_rules(world, namespace, instance_id),
    )
    return not _has_vpn(world, namespace, instance_id) or await clients.clear(world, namespace, instance_id)


async def leases_of(world: World, namespace: str, instance_id: str) -> list[Lease]:
    """Leases that an instance holds, read live by the selectable field."""
    deployments, _ = await world.client.list(DEPLOYMENTS, namespace, fields={"status.lease.instance": instance_id})
    for obj in deployments:
        world.cache[DEPLOYMENTS].put(obj)
    return [Lease(obj["metadata"]["name"], int(obj["status"]["epoch"])) for obj in deployments]


async def _delete_rules(world: World, namespace: str, instance_id: str) -> None:
    """Delete the rules of an instance that is gone: none must show as in force, or wait for another instance."""
    rules, _ = await world.client.list(RULES, namespace, fields={"spec.instance": instance_id})
    await together(*(world.client.delete(RULES, namespace, rule["metadata"]["name"]) for rule in rules))


def _has_vpn(world: World, namespace: str, instance_id: str) -> bool:
    """Whether the instance had a VPN, or a VPNClient names it."""
    instances = world.cache[INSTANCES].by("id", instance_id, namespace)
    return any(obj["spec"].get("vpn") for obj in instances) or bool(
        world.cache[VPN_CLIENTS].by("instance", instance_id, namespace)
    )


async def _lease_of(world: World, instance: Instance) -> Lease | None:
    """Return the lease that it has or had; of one that was never bound, the one that was taken for it."""
    if instance.status.epoch is not None:
        return Lease(instance.status.deployment or "", instance.status.epoch)
    leases = await leases_of(world, instance.metadata.namespace, instance.public_id)
    return leases[0] if leases else None


def _warm_name(world: World, namespace: str, lease: Lease | None) -> str | None:
    """Name of the lease's warm objects, whoever has them; None where there surely are none."""
    if lease is None or not view.concerns(world, namespace, lease.deployment):
        return None
    return names.warm_object(ids.deployment_id(namespace, lease.deployment), lease.epoch)


def _expected_objects(
    world: World, namespace: str, instance_id: str, lease: Lease | None, warm: str | None
) -> list[tuple[Kind, str]]:
    """Return objects to delete at once, by name, those that open the door first. Live lists find the rest later."""
    objects = [(SERVICES, names.instance_object(instance_id))]
    secrets: list[str] = []
    if lease is not None:
        instances = world.cache[INSTANCES].by("id", instance_id, namespace)
        nonces = {(obj.get("status") or {}).get("nonce") for obj in instances}
        secrets += [names.workspace_secret(instance_id, lease.epoch, nonce) for nonce in nonces]
        if warm is not None:
            objects.append((SERVICES, warm))
            wd = world.deployment(namespace, lease.deployment)
            secrets.append(names.warm_secret(warm, wd.warm_nonce(lease.epoch) if wd is not None else None))
    objects += [(SECRETS, name) for secret in secrets for name in (secret, names.agent_secret(secret))]
    if _has_vpn(world, namespace, instance_id):
        objects += [(SECRETS, names.vpn_secret(secret)) for secret in secrets]
    return objects


async def _close(world: World, namespace: str, instance_id: str, pod: PodView | None) -> None:
    """Shut the door, take the keys and end what stands, until the agent says so: the pod's end does not wait for it.

    The pod's own end may come long after: a kubelet that does not run kills nothing.
    """
    memory = world.state(Memories).known(namespace, instance_id)
    if pod is None or memory is None or memory.sent is None:
        return
    push = desired.push(_ended(world, namespace, instance_id), pod.epoch, memory.sent.generation + 1, ())
    agent = AgentAddress(pod.ip, pod.name, pod.epoch)
    try:
        await world.state(AgentClient).push(agent, replace(push, cut=True), seconds=CLOSE_SECONDS)
    except AgentError as error:
        log.info("could not close by the agent", instance=instance_id, error=str(error))
        return
    memory.acknowledged = memory.sent = None


def _ended(world: World, namespace: str, instance_id: str) -> str:
    """Ruleset of a lease that is over: nothing new reaches its machine, and all of it is closed to any other."""
    instances = world.cache[INSTANCES].by("id", instance_id, namespace)
    networks = [instance.network for instance in map(Instance.parse, instances) if instance.network is not None]
    return desired.ended(world.config.grounds.around(networks[0] if len(networks) == 1 else None))


async def _gone(
    world: World, namespace: str, instance_id: str, lease: Lease | None, *, but: Container[str] = ()
) -> bool:
    """Delete what a live list finds; whether another finds nothing. Of hooks those in ``but`` are left alone."""
    labels = [{names.INSTANCE_LABEL: instance_id}]
    if lease is not None and _warm_name(world, namespace, lease) is not None:
        labels.append(names.epoch_labels(lease.epoch, lease.deployment))
    remains = await left_of(world, namespace, labels)
    if any(_hook_of(obj) for _, obj in remains):
        world.state(Memories).of(namespace, instance_id).hooks = True
    if any(_hook_of(obj) not in but for _, obj in remains):
        await delete_all(world, [(kind, obj) for kind, obj in remains if _hook_of(obj) not in but])
        remains = await left_of(world, namespace, labels)
    if remains := [(kind, obj) for kind, obj in remains if _hook_of(obj) not in but]:
        log.info("not gone yet", instance=instance_id, left=names_of(remains))
        return False
    for job in world.cache[JOBS].by("instance", instance_id, namespace):
        if job["metadata"]["labels"].get(names.HOOK_LABEL) not in but:
            world.cache[JOBS].remove(job)
    return True


def _hook_of(obj: Object) -> str:
    """Which hook it belongs to; empty for an object of none."""
    return str(obj["metadata"]["labels"].get(names.HOOK_LABEL) or "")
