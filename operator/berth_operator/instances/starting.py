"""The steps that open a lease: bind the Instance, make what belongs to it. Each can be repeated."""

from collections.abc import Awaitable, Sequence
from dataclasses import replace

import structlog

from berth_core import state
from berth_core.firewall import Rule
from berth_core.kube.cache import version_of
from berth_core.kube.conditions import condition, merged
from berth_core.kube.errors import ClusterError, ConflictError
from berth_core.leases.availability import Lease
from berth_core.resources import FirewallRule, Instance, WorkspaceDeployment, WorkspaceType
from berth_core.resources.instance import InstanceStatus
from berth_operator.engine.world import World
from berth_operator.engine.writes import create, refresh_instance, refresh_pod, set_finalizer, together, write_status
from berth_operator.instances import status
from berth_operator.instances.firewall import desired
from berth_operator.instances.firewall import rules as rulebook
from berth_operator.instances.firewall.policies import apply, digest_of, has_its_own, uphold
from berth_operator.instances.lease_secrets import (
    agent_secret,
    has_secrets,
    host_key,
    known_key,
    secret_names,
    vpn_secret,
)
from berth_operator.instances.manifests import claim, vpn
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.manifests.isolation import of_lease
from berth_operator.instances.manifests.pod import pod
from berth_operator.instances.manifests.policy import policy
from berth_operator.instances.manifests.service import service, source_ranges
from berth_operator.instances.memory import Memories, Memory
from berth_operator.instances.observed import ObservedInstance
from berth_operator.instances.plan import Plan
from berth_operator.instances.status import PodSecrets
from berth_operator.kinds import INSTANCES, PODS, POLICIES, RULES, SECRETS, SERVICES, WARM
from berth_operator.leases.nonces import new_nonce, unused_where_unknown
from berth_operator.machines import claims
from berth_operator.machines.claimants import reserved
from berth_operator.pods.view import PodView
from berth_operator.podspec.isolation import of_pod

log = structlog.get_logger(__name__)


async def wait(world: World, seen: ObservedInstance, plan: Plan) -> None:
    """Show that it waits."""
    instance = seen.instance
    await write_status(world, instance, instance.status, status.waiting(instance, plan, world.now()))


async def bind(world: World, seen: ObservedInstance) -> None:
    """Open all that the lease opens; the status says so once what must be there first is there."""
    if seen.held is None or seen.deployment is None or seen.type is None:
        raise RuntimeError("only an instance with a lease, a deployment and a type is bound")
    warm, memory = seen.warm, world.state(Memories).of(seen.instance.metadata.namespace, seen.instance.public_id)
    nonce = warm.nonce if warm is not None else memory.nonces.setdefault("", new_nonce())
    lease = LeaseParts(seen.instance, seen.deployment, seen.type, seen.held.epoch, warm=warm is not None, nonce=nonce)
    with reserved(world, seen.deployment, seen.instance):
        await (_bind_cold(world, lease, memory) if warm is None else _bind_warm(world, lease, warm, memory))
    if warm is None:
        # Warm objects of this lease that do not serve it are deleted.
        world.add(WARM, lease.namespace, seen.held.deployment)
    log.info("bound", instance=lease.id, deployment=seen.held.deployment, epoch=lease.epoch, warm=lease.warm)


async def _bind_warm(world: World, lease: LeaseParts, warm: PodView, memory: Memory) -> None:
    """Take the pod that the lease brings, with no write to it: the lease is the claim (ADR 0013)."""
    first, changed = desired.first_rule(lease.holder), memory.rules_changed
    instance = await set_finalizer(world, lease.holder, present=True)
    answer, key, _ = await together(
        create(world, RULES, first),
        _key_of(world, lease, warm),
        _policy_at_the_claim(world, lease, memory, warm),
    )
    if first is None or answer is not None:
        rulebook.presume_rules(world, instance, memory, answer, changed)
    of = Lease(lease.deployment.metadata.name, lease.epoch)
    isolation = of_pod(of_lease(lease, world.config, vpn=False), isolated=warm.isolated)
    bound = status.bound(instance, of, PodSecrets(key, lease.nonce), world.now(), isolation=isolation, warm=True)
    await write_status(world, instance, instance.status, status.with_machine(bound, lease.machine))


async def _policy_at_the_claim(world: World, lease: LeaseParts, memory: Memory, warm: PodView) -> None:
    """Apply what stands around a warm pod with a holder: its machine is opened here for the first time."""
    if lease.network is not None:
        await _apply_policy(world, lease, memory, (), warm)
        return
    shared = await uphold(world, lease.type)
    if not has_its_own(world.config, lease, warm):
        memory.policy = shared
    else:
        # It was offered because all of it is as it would be made now, its policy too.
        memory.policy = digest_of(policy(lease, (), world.config))


async def _bind_cold(world: World, lease: LeaseParts, memory: Memory) -> None:
    """Make the Secrets, write their nonce into the status at the version that was decided on, then make the pod.

    The order fences by itself (ADR 0024): once the lease is over its Secrets are gone, and no late write makes any of
    this name, so a pod that is made too late never starts.
    """
    first = desired.first_rule(lease.holder)
    compiled = desired.compiled([FirewallRule.parse(first)]) if first else []
    finalized = set_finalizer(world, lease.holder, present=True)
    with unused_where_unknown(memory.nonces, ""):
        instance, answer, key, *_ = await together(
            finalized,
            create(world, RULES, first),
            *_secrets(world, lease),
            _apply_policy(world, lease, memory, compiled),
        )
    if answer is not None:
        world.cache[RULES].put(answer)  # else rules that are read before its watch tells of it would lack it
    of = Lease(lease.deployment.metadata.name, lease.epoch)
    isolation = of_lease(lease, world.config, vpn=vpn.settings(lease, world.config) is not None)
    bound = status.bound(instance, of, PodSecrets(key, lease.nonce), world.now(), isolation=isolation)
    bound = status.with_machine(bound, lease.machine)
    await _name_secrets(world, replace(lease, instance=instance), memory, bound)
    # Where there are hooks, the pod is made when they have run: make_missing() follows.
    if not lease.type.spec.hooks.any:
        await together(_make_pod(world, lease), _service(world, lease, memory, compiled))


async def _name_secrets(world: World, lease: LeaseParts, memory: Memory, status: InstanceStatus) -> None:
    """Write the status that names Secrets which were just made; where another won, ours go."""
    instance = lease.holder
    try:
        await write_status(world, instance, instance.status, status)
    except ConflictError:
        await refresh_instance(world, lease.namespace, instance.metadata.name)
        live = world.cache[INSTANCES].get(lease.namespace, instance.metadata.name)
        if live is not None and (live.get("status") or {}).get("nonce") not in (instance.status.nonce, lease.nonce):
            ours = secret_names(world, lease)
            await together(*(world.client.delete(SECRETS, lease.namespace, name) for name in ours))
            del memory.nonces[""]
        raise
    del memory.nonces[""]


async def make_missing(world: World, seen: ObservedInstance) -> None:
    """Make missing objects of a bound instance, the pod last."""
    instance = seen.instance
    if seen.deployment is None or seen.type is None:
        raise RuntimeError("the deployment or its type is gone: restore it, or end the instance")
    lease = _bound_lease(instance, seen.deployment, seen.type)
    memory = world.state(Memories).of(instance.metadata.namespace, instance.public_id)
    rules = desired.compiled(await rulebook.read_rules(world, instance, memory))
    if seen.pod is not None:
        await _service(world, lease, memory, rules)
        return
    lease, _ = await together(_with_secrets(world, lease, memory), _apply_policy(world, lease, memory, rules))
    await together(_make_pod(world, lease), _service(world, lease, memory, rules))
    log.info("pod made", instance=lease.id, epoch=lease.epoch)


async def _with_secrets(world: World, lease: LeaseParts, memory: Memory) -> LeaseParts:
    """Return the lease with Secrets that a pod of it can mount.

    They are those that the status names. Where somebody has deleted them, others are made and named first: Secrets that
    came back under a name that was used would let a pod start that was made too late (ADR 0024).
    """
    if await has_secrets(world, lease):
        return lease
    if memory.nonces.get("") == lease.nonce:  # it was written, and the answer that said so was lost
        del memory.nonces[""]
    lease = replace(lease, nonce=memory.nonces.setdefault("", new_nonce()))
    with unused_where_unknown(memory.nonces, ""):
        key, *_ = await together(*_secrets(world, lease))
    await _name_secrets(world, lease, memory, status.renewed(lease.holder, PodSecrets(key, lease.nonce)))
    log.warning("Secrets were deleted by another, and are made anew", instance=lease.id, epoch=lease.epoch)
    return lease


async def apply_sources(world: World, lease: LeaseParts, memory: Memory, rules: Sequence[Rule], pod: PodView) -> None:
    """Write the rules' sources into the NetworkPolicy, and a load balancer's Service, where they have changed."""
    mirrored = [] if source_ranges(rules, world.config) == memory.ranges else [_service(world, lease, memory, rules)]
    await together(_apply_policy(world, lease, memory, rules, pod), *mirrored)


async def _apply_policy(
    world: World, lease: LeaseParts, memory: Memory, rules: Sequence[Rule], pod: PodView | None = None
) -> None:
    """Apply what stands around the pod of a lease; without a pod, around the one that is made next."""
    shared = await uphold(world, lease.type)
    if not has_its_own(world.config, lease, pod):
        memory.policy, memory.policy_name = shared, ""
        return
    manifest = policy(lease, rules, world.config)
    digest = digest_of(manifest)
    if digest != memory.policy:
        look, memory.policy = memory.found and not memory.policy, ""  # what gets no answer may have come all the same
        applied = await apply(world, POLICIES, manifest, look=look)
        metadata = applied["metadata"]
        memory.policy, memory.policy_name, memory.policy_generation = digest, metadata["name"], metadata["generation"]
        memory.policy_version = version_of(applied)


def _bound_lease(instance: Instance, wd: WorkspaceDeployment, type_: WorkspaceType) -> LeaseParts:
    status = instance.status
    return LeaseParts(instance, wd, type_, status.epoch or 0, warm=bool(status.warm), nonce=status.nonce)


async def _key_of(world: World, lease: LeaseParts, pod: PodView) -> str:
    """Public host key of a warm pod."""
    return pod.host_key or await known_key(world, lease)


def _secrets(world: World, lease: LeaseParts) -> list[Awaitable[str | None]]:
    """Make what must be there before the pod; the first result is the public host key."""
    writes: list[Awaitable[str | None]] = [host_key(world, lease), agent_secret(world, lease)]
    if (tunnel := vpn.settings(lease, world.config)) is not None:
        writes.append(vpn_secret(world, lease, tunnel))
    return writes


async def _service(world: World, lease: LeaseParts, memory: Memory, rules: Sequence[Rule]) -> None:
    try:
        answer = await world.client.apply(SERVICES, service(lease, world.config, rules))
    except ClusterError as error:
        if "range is full" in error.message:
            await _ports_exhausted(world, lease.holder)
        raise
    memory.ranges = source_ranges(rules, world.config)
    world.cache[SERVICES].put(answer)


async def _ports_exhausted(world: World, instance: Instance) -> None:
    message = "no node port is free: widen the API server's --service-node-port-range, or end other instances"
    shown = condition(
        state.NETWORK_READY, False, "PortsExhausted", message, now=world.now(), generation=instance.metadata.generation
    )
    obj = world.cache[INSTANCES].get(instance.metadata.namespace, instance.metadata.name)
    live = Instance.parse(obj) if obj else instance
    conditions = merged(live.status.conditions, [shown])
    await write_status(world, live, live.status, live.status.model_copy(update={"conditions": conditions}))


async def _make_pod(world: World, lease: LeaseParts) -> None:
    await claims.make(world, claim.claims(lease))
    answer = await create(world, PODS, pod(lease, world.config))
    if answer is None:
        await refresh_pod(world, lease.namespace, lease.name)
    else:
        world.cache[PODS].put(answer)
