"""Observes one instance, as one value. It reads live what a cache may not decide."""

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

from berth_core import ids, names, state
from berth_core.kube.conditions import find
from berth_core.kube.types import Object
from berth_core.leases.availability import Lease
from berth_core.machines.placement import Fault
from berth_core.queue.waiters import Waiter
from berth_core.resources import Instance, WorkspaceDeployment, WorkspaceType
from berth_core.resources.instance import Claim
from berth_operator.engine.world import World, node_is_ready
from berth_operator.instances.decide import CONFIG_ERRORS, IMAGE_ERRORS, ends_now, may_lack_secrets
from berth_operator.instances.expiry.notice import notice
from berth_operator.instances.firewall import rules
from berth_operator.instances.hooks import run
from berth_operator.instances.hooks.decide import PREPARE
from berth_operator.instances.keepalive import pings
from berth_operator.instances.lease_secrets import has_secrets
from berth_operator.instances.manifests import vpn as build_vpn
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.manifests.isolation import of_lease
from berth_operator.instances.manifests.service import announced
from berth_operator.instances.memory import Memories, Memory
from berth_operator.instances.observed import AgentView, ObservedInstance
from berth_operator.instances.vpn import clients
from berth_operator.instances.warm.view import offer
from berth_operator.kinds import CLAIMS, DEPLOYMENTS, INSTANCES, JOBS, PODS, SERVICES, VPN_CLIENTS
from berth_operator.leases.live import Serving, held_deployment, read_deployment
from berth_operator.leases.taking import beyond_quota
from berth_operator.machines import claimants, claims
from berth_operator.machines.slices import Slices
from berth_operator.pods.view import PodView, pod_view
from berth_operator.podspec.isolation import Verdict, of_pod
from berth_operator.presence import view as presence
from berth_operator.queue import waiting
from berth_operator.queue.selection import best_for, obstacle

LEFT: Final = (PODS, JOBS, VPN_CLIENTS, CLAIMS)
"""Watched kinds of which nothing is left when an instance has ended."""


async def observe(world: World, instance: Instance, now: datetime) -> ObservedInstance:
    """Everything that the next decision about an instance depends on."""
    namespace, public_id = instance.metadata.namespace, instance.public_id
    memory = world.state(Memories).of(namespace, public_id)
    pod = pod_of(world, namespace, public_id)
    memory.meet(pod, now)
    if instance.status.reason is not None or instance.status.end_time is not None:
        remains = any(world.cache[kind].by("instance", public_id, namespace) for kind in LEFT)
        return ObservedInstance(instance, pod=pod, leftover=remains, clock_trusted=world.clock.trusted)
    if ends_now(brief := _brief(world, instance), now):
        return brief
    if instance.status.epoch is None:
        return await _unbound(world, instance)
    return await _bound(world, brief, memory, pod, now)


def pod_of(world: World, namespace: str, public_id: str) -> PodView | None:
    """Return the instance's pod as last seen: its own, or the warm one that it was bound with."""
    own = world.cache[PODS].get(namespace, names.instance_object(public_id))
    warm = (_warm_pod(world, obj) for obj in world.cache[INSTANCES].by("id", public_id, namespace))
    obj = own or next(filter(None, warm), None)
    return pod_view(obj) if obj else None


def _warm_pod(world: World, instance: Object) -> Object | None:
    """Return the pod of the deployment and epoch in the status of an Instance that was bound with a warm one."""
    status, namespace = instance.get("status") or {}, instance["metadata"]["namespace"]
    if not status.get("warm"):
        return None
    deployment = ids.deployment_id(namespace, status["deployment"])
    return world.cache[PODS].get(namespace, names.warm_object(deployment, status["epoch"]))


def _brief(world: World, instance: Instance) -> ObservedInstance:
    """Its state by the caches, which is enough to end it."""
    namespace, name = instance.metadata.namespace, instance.status.deployment
    wd = world.deployment(namespace, name) if name else None
    type_ = world.type_named(namespace, wd.spec.type) if wd else None
    return ObservedInstance(instance, type=type_, deployment=wd, clock_trusted=world.clock.trusted)


async def _unbound(world: World, instance: Instance) -> ObservedInstance:
    namespace, claim = instance.metadata.namespace, instance.spec.claim
    if instance.public_id in world.state(Serving):
        return ObservedInstance(instance, claiming=True)
    if claim is not None:
        wd = world.deployment(namespace, claim.deployment)
        seen = _with_claim(world, instance, claim, wd, world.type_named(namespace, wd.spec.type) if wd else None)
        # Of an epoch the holder never changes, nor does what status.warm names while it is held: the cache will do.
        if seen.warm is not None:
            return seen
        wd = await read_deployment(world, namespace, claim.deployment)
        return _with_claim(world, instance, claim, wd, await world.find_type(namespace, wd.spec.type) if wd else None)
    wd = await held_deployment(world, Waiter.of(instance))
    if wd is None:
        return ObservedInstance(instance, waits_for=_waits_for(world, instance))
    type_ = await world.find_type(namespace, wd.spec.type)
    lease = Lease(wd.metadata.name, wd.status.epoch)
    beyond = await beyond_quota(world, wd)
    return _held(world, ObservedInstance(instance, type=type_, deployment=wd, held=lease, waits_for=beyond))


def _with_claim(
    world: World, instance: Instance, claim: Claim, wd: WorkspaceDeployment | None, type_: WorkspaceType | None
) -> ObservedInstance:
    """Whether the lease that was taken for it is its own, by the deployment as it was seen."""
    reason = loss(wd, claim.deployment, instance.public_id, claim.epoch)
    lease = None if reason else Lease(claim.deployment, claim.epoch)
    return _held(world, ObservedInstance(instance, type=type_, deployment=wd, held=lease, lost=reason))


def _held(world: World, seen: ObservedInstance) -> ObservedInstance:
    """With the warm pod that the lease brings, where there is one that serves."""
    if seen.held is None or seen.deployment is None or seen.type is None:
        return seen
    warm = offer(world, seen.instance, seen.deployment, seen.type, seen.held)
    fault = claimants.fault(world, seen.deployment) or world.state(Slices).ambiguity(seen.deployment.devices)
    return replace(seen, warm=warm, machine=fault)


def _waits_for(world: World, instance: Instance) -> str:
    """Why it cannot have a deployment now; empty where one looks free, which its turn will show."""
    namespace, waiter = instance.metadata.namespace, Waiter.of(instance)
    if passed_over := world.state(waiting.PassedOver).get((namespace, instance.public_id)):
        return passed_over
    deployments: list[Object] = []
    for type_name in waiting.types_for(world, namespace, instance.spec.wire()):
        if best_for(waiter, waiting.offered(world, namespace, type_name), partial(waiting.permitted, world)):
            return ""
        deployments += world.cache[DEPLOYMENTS].by("type", type_name, namespace)
    return obstacle(waiter, waiting.all_waiters(world, namespace), deployments)


async def _bound(
    world: World, brief: ObservedInstance, memory: Memory, pod: PodView | None, now: datetime
) -> ObservedInstance:
    instance, wd, type_ = brief.instance, brief.deployment, brief.type
    namespace, public_id, status = instance.metadata.namespace, instance.public_id, instance.status
    name, epoch = status.deployment or "", status.epoch or 0
    reason = loss(wd, name, public_id, epoch)
    # The cache may lag behind, also where a lease was bound by it: before another pod is made it is read live.
    if reason or (status.warm and pod is None):
        wd = await read_deployment(world, namespace, name)
        reason = loss(wd, name, public_id, epoch)
        type_ = world.type_named(namespace, wd.spec.type) if wd else None
    if type_ is None and wd is not None:
        type_ = await world.find_type(namespace, wd.spec.type)
    node = world.node(pod.node) if pod else None
    service = world.cache[SERVICES].get(namespace, pod.name if pod else names.instance_object(public_id))
    address, problem = announced(service, node, world.config.node_addresses or {})
    _note_image_errors(memory, pod, now)
    wait = isolation = None
    if pod is not None and wd is not None and type_ is not None:
        lease = LeaseParts(instance, wd, type_, epoch, warm=bool(status.warm), nonce=status.nonce)
        wait = lease if may_lack_secrets(pod, now) else None
        isolation = _isolation(world, lease, pod)
    tells = notice(instance, type_, now) if world.clock.trusted else memory.notice
    of_machine = presence.notice(wd)
    current, settled = False, True
    if pod is not None and not pod.over and pod.ip and pod.agent.state == "running":
        current, settled = await rules.look(world, instance, memory, pod)
        current = current and (memory.notice, memory.machine_notice) == (tells, of_machine)
    return ObservedInstance(
        instance,
        type=type_,
        deployment=wd,
        lost=reason,
        machine=_machine_fault(world, instance, wd, memory),
        unreserved=bool(claims.unreserved(world, instance)),
        unallocated=claims.unallocated(world, instance),
        opened=pod is not None and pod.epoch == epoch and service is not None,
        pod=pod,
        previous_pod_created=memory.pod_created,
        previous_pod_ended=memory.pod_ended,
        image_error_since=memory.image_error_since,
        lacks_secrets=wait is not None and not await has_secrets(world, wait),
        silent_node=pod.node if pod and pod.node and not node_is_ready(node) else "",
        address=address,
        address_problem=problem,
        out_of_reach=world.config.out_of_reach,
        agent=AgentView(
            acknowledged=memory.acknowledged,
            current=current,
            failures=memory.failures,
            error=memory.error,
            probing=memory.probing,
            listening=memory.listening,
            path=memory.path,
            refused=memory.refused_since is not None,
            first_met=memory.first_met,
        ),
        notice=tells,
        machine_notice=of_machine,
        vpn=clients.look(world, instance, memory, pod),
        rules_settled=settled,
        others_open=opening(world) > (status.ready_time is None),
        prepare=await run.look(world, instance, PREPARE) if status.ready_time is None else None,
        prepare_pod=_hook_pod(world, instance, PREPARE) if instance.devices and status.ready_time is None else None,
        isolation=isolation,
        quiet_since=await pings.quiet(world, instance, memory, now),
        clock_trusted=brief.clock_trusted,  # of the moment at which `now` was read
    )


def _machine_fault(world: World, instance: Instance, wd: WorkspaceDeployment | None, memory: Memory) -> Fault | None:
    """Whether nothing may be opened of the machine, while the agent was pushed nothing and no hook has run."""
    status = instance.status
    if wd is None or memory.sent or memory.hooks or status.firewall or status.ready_time or status.hook_nonces:
        return None
    return claimants.fault_of_bound(world, wd, instance) or world.state(Slices).ambiguity(instance.devices)


def _hook_pod(world: World, instance: Instance, hook: str) -> PodView | None:
    """Return a pod of a hook that waits or runs, as last seen."""
    pods = world.cache[PODS].by("instance", instance.public_id, instance.metadata.namespace)
    views = (pod_view(pod) for pod in pods if (pod["metadata"].get("labels") or {}).get(names.HOOK_LABEL) == hook)
    return next((view for view in views if not view.over), None)


def opening(world: World) -> int:
    """How many leases are being opened."""
    return dict(world.cache[INSTANCES].counts("opening")).get("yes", 0)


def loss(wd: WorkspaceDeployment | None, name: str, public_id: str, epoch: int) -> str:
    """Why a lease is not the instance's own; empty where it is."""
    if wd is None:
        return f"there is no WorkspaceDeployment {name}"
    lease = wd.status.lease
    if lease is None or lease.instance != public_id:
        return f"the lease of {name} is {'free' if lease is None else 'held by another instance'}"
    if wd.status.epoch != epoch:
        return f"the lease of {name} is of epoch {wd.status.epoch}, not {epoch}"
    return ""


def _isolation(world: World, lease: LeaseParts, pod: PodView) -> Verdict | None:
    """Return the verdict on the pod's user namespace; None where the status has it, even if nodes changed since."""
    former = find(lease.holder.status.conditions, state.USER_NAMESPACE)
    if former is not None and former.status == str(pod.isolated):
        return None
    with_vpn = build_vpn.settings(lease, world.config) is not None
    return of_pod(of_lease(lease, world.config, vpn=with_vpn), isolated=pod.isolated)


def _note_image_errors(memory: Memory, pod: PodView | None, now: datetime) -> None:
    reasons = {container.reason for container in pod.needed} if pod else set()
    if not reasons & (IMAGE_ERRORS | CONFIG_ERRORS):
        memory.image_error_since = None
    elif memory.image_error_since is None:
        memory.image_error_since = now
