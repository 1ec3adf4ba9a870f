"""The steps that open a lease: bind the Instance, make what belongs to it. Each can be repeated."""

import hashlib
from collections.abc import Awaitable, Sequence

import orjson
import structlog

from berth_core import state
from berth_core.client import Kind, Object
from berth_core.conditions import condition, merged
from berth_core.errors import ClusterError, NotFoundError
from berth_core.firewall import Rule
from berth_core.resources import FirewallRule, Instance, WorkspaceDeployment, WorkspaceType
from berth_operator import rulebook
from berth_operator.build import firewall, vpn
from berth_operator.build.common import LeaseParts
from berth_operator.build.disruption import budget
from berth_operator.build.pod import pod
from berth_operator.build.policy import policy
from berth_operator.build.service import service, source_ranges
from berth_operator.build.standing import stands
from berth_operator.decide import status
from berth_operator.decide.plan import Plan
from berth_operator.decide.seen import ObservedInstance, PodView
from berth_operator.kinds import BUDGETS, INSTANCES, PODS, POLICIES, RULES, SERVICES
from berth_operator.making import agent_secret, create, host_key, vpn_secret
from berth_operator.memory import Memory
from berth_operator.store import version_of
from berth_operator.together import together
from berth_operator.warming import claim_pod
from berth_operator.world import WARM, World
from berth_operator.writes import refresh_pod, set_finalizer, write_status

log = structlog.get_logger(__name__)


async def wait(world: World, seen: ObservedInstance, plan: Plan) -> None:
    """Show that it waits."""
    instance = seen.instance
    await write_status(world, instance, instance.status, status.waiting(instance, plan, world.now()))


async def bind(world: World, seen: ObservedInstance) -> None:
    """Open all that the lease opens; the status says so once what must be there first is there."""
    if seen.held is None or seen.deployment is None or seen.type is None:
        raise RuntimeError("only an instance with a lease, a deployment and a type is bound")
    instance = seen.instance
    lease = LeaseParts(instance, seen.deployment, seen.type, seen.held.epoch, warm=seen.warm is not None)
    first = firewall.first_rule(instance)
    memory = world.memories.of(instance.metadata.namespace, instance.public_id)
    # Without the finalizer no pod is made or claimed; all else would go with the Instance by its owner reference.
    finalized = set_finalizer(world, instance, present=True)
    if seen.warm is not None:
        changed = memory.rules_changed
        instance = await finalized
        made, key, _ = await together(
            create(world, RULES, first), _key_of(world, lease, seen.warm), claim_pod(world, lease, seen.warm)
        )
        if not seen.warm.holder:
            # It was offered because all of it is as it would be made now, its policy too.
            memory.policy = _digest(policy(lease, (), world.config))
        if first is None or made is not None:
            rulebook.presume_rules(world, instance, memory, made, changed)
        bound = status.bound(instance, seen.held, [key], world.now(), warm=True)
        await write_status(world, instance, instance.status, bound)
    else:
        compiled = firewall.compiled([FirewallRule.parse(first)]) if first else []
        ground = _ground(world, lease, memory, compiled)
        instance, made, key, *_ = await together(finalized, create(world, RULES, first), *ground)
        if made is not None:
            world.store.put(RULES, made)  # else rules that are read before its watch tells of it would lack it
        bound = status.bound(instance, seen.held, [key], world.now())
        # Where there are hooks, the pod is made when the status says that it may be: whatever touched the machine is
        # bound, so that its end runs those that come after.
        opening: list[Awaitable[None]] = []
        if not lease.type.spec.hooks.any:
            opening = [_make_pod(world, lease), _service(world, lease, memory, compiled)]
        await together(*opening, write_status(world, instance, instance.status, bound))
        # What was kept warm for this lease, and does not serve it, goes.
        world.add(WARM, lease.namespace, seen.held.deployment)
    log.info("bound", instance=lease.id, deployment=seen.held.deployment, epoch=lease.epoch, warm=lease.warm)


async def make_missing(world: World, seen: ObservedInstance) -> None:
    """Make what is missing of a bound instance, the pod last."""
    instance = seen.instance
    if seen.deployment is None or seen.type is None:
        raise RuntimeError("the deployment or its type is gone: restore it, or end the instance")
    lease = _bound_lease(instance, seen.deployment, seen.type)
    memory = world.memories.of(instance.metadata.namespace, instance.public_id)
    rules = firewall.compiled(await rulebook.read_rules(world, instance, memory))
    if seen.pod is not None:
        await _service(world, lease, memory, rules)
        return
    await together(*_ground(world, lease, memory, rules))
    await together(_make_pod(world, lease), _service(world, lease, memory, rules))
    log.info("pod made", instance=lease.id, epoch=lease.epoch)


async def apply_sources(world: World, lease: LeaseParts, memory: Memory, rules: Sequence[Rule]) -> None:
    """Tell the cluster's enforcer, and a load balancer, whom the rules let in, where that was not told last."""
    mirrored = [] if source_ranges(rules, world.config) == memory.ranges else [_service(world, lease, memory, rules)]
    await together(_apply_policy(world, lease, memory, rules), *mirrored)


async def _apply_policy(world: World, lease: LeaseParts, memory: Memory, rules: Sequence[Rule]) -> None:
    manifest = policy(lease, rules, world.config)
    digest = _digest(manifest)
    if digest != memory.policy:
        applied = await _apply(world, POLICIES, manifest, look=memory.found and not memory.policy)
        memory.policy, memory.policy_generation = digest, applied["metadata"]["generation"]
        memory.policy_version = version_of(applied)


async def apply_budget(world: World, seen: ObservedInstance, memory: Memory) -> None:
    """Apply the PodDisruptionBudget, once for each instance and process: only one that is ready needs it."""
    if memory.budget or seen.deployment is None or seen.type is None:
        return
    lease = _bound_lease(seen.instance, seen.deployment, seen.type)
    await _apply(world, BUDGETS, budget(lease), look=memory.found)
    memory.budget = True


async def _apply(world: World, kind: Kind, manifest: Object, *, look: bool) -> Object:
    """Apply; with ``look`` only where a live read shows that it is not so already, which costs the API server less.

    What stands then is returned.
    """
    metadata = manifest["metadata"]
    if look:
        try:
            found = await world.client.get(kind, metadata["namespace"], metadata["name"])
        except NotFoundError:
            found = None
        if found is not None and stands(found, manifest):
            return found
    return await world.client.apply(kind, manifest)


def _digest(manifest: Object) -> str:
    return hashlib.sha256(orjson.dumps(manifest)).hexdigest()


def _bound_lease(instance: Instance, wd: WorkspaceDeployment, type_: WorkspaceType) -> LeaseParts:
    return LeaseParts(instance, wd, type_, instance.status.epoch or 0, warm=bool(instance.status.warm))


async def _key_of(world: World, lease: LeaseParts, pod: PodView) -> str:
    """Public host key of a warm pod."""
    return pod.host_key or await host_key(world, lease)


def _ground(world: World, lease: LeaseParts, memory: Memory, rules: Sequence[Rule]) -> list[Awaitable[str | None]]:
    """What must be there before the pod; the first result is the public host key."""
    ground: list[Awaitable[str | None]] = [host_key(world, lease), agent_secret(world, lease)]
    if (wanted := vpn.settings(lease, world.config)) is not None:
        ground.append(vpn_secret(world, lease, wanted))
    return [*ground, _apply_policy(world, lease, memory, rules)]


async def _service(world: World, lease: LeaseParts, memory: Memory, rules: Sequence[Rule]) -> None:
    try:
        made = await world.client.apply(SERVICES, service(lease, world.config, rules))
    except ClusterError as error:
        if "range is full" in error.message:
            await _ports_exhausted(world, lease.holder)
        raise
    memory.ranges = source_ranges(rules, world.config)
    world.store.put(SERVICES, made)


async def _ports_exhausted(world: World, instance: Instance) -> None:
    message = "no node port is free: widen the API server's --service-node-port-range, or end other instances"
    shown = condition(
        state.NETWORK_READY, False, "PortsExhausted", message, now=world.now(), generation=instance.metadata.generation
    )
    known = world.store.get(INSTANCES, instance.metadata.namespace, instance.metadata.name)
    live = Instance.parse(known) if known else instance
    conditions = merged(live.status.conditions, [shown])
    await write_status(world, live, live.status, live.status.model_copy(update={"conditions": conditions}))


async def _make_pod(world: World, lease: LeaseParts) -> None:
    made = await create(world, PODS, pod(lease, world.config))
    if made is None:
        await refresh_pod(world, lease.namespace, lease.name)
    else:
        world.store.put(PODS, made)
