"""The steps of an instance that runs: put its rules in force, prove that it can be reached, say so."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Final

import structlog

from berth_core import names
from berth_core.firewall import digest_of
from berth_core.kube.conditions import condition, merged
from berth_core.kube.errors import ClusterError, NotFoundError
from berth_core.kube.model import parse_time
from berth_core.kube.types import Object
from berth_core.leases.availability import Lease
from berth_core.resources import FirewallRule, Instance
from berth_core.resources.instance import InForce
from berth_operator.agents.client import AgentAddress, AgentClient
from berth_operator.agents.reachability import path_stands
from berth_operator.engine import metrics
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import World
from berth_operator.engine.writes import together, write_status
from berth_operator.errors import AgentError, StaleError
from berth_operator.instances import status
from berth_operator.instances.decide import settles_later
from berth_operator.instances.firewall import desired
from berth_operator.instances.firewall import rules as rulebook
from berth_operator.instances.lease_secrets import lease_parts
from berth_operator.instances.memory import Memories, Memory
from berth_operator.instances.observed import ObservedInstance
from berth_operator.instances.plan import Plan
from berth_operator.instances.starting import apply_sources
from berth_operator.instances.vpn import clients
from berth_operator.kinds import INSTANCE, RULES
from berth_operator.pods.view import PodView

log = structlog.get_logger(__name__)

PATH_SECONDS: Final = 3.0
REFUSED_SECONDS: Final = 30.0
"""How long a path that refuses is waited for: kube-proxy may try this seldom to reach an API server that was away."""
FIRST_RETRY: Final = 0.03
LONGEST_RETRY: Final = 15.0
PROBE_RETRY: Final = 0.5
REPORT_AFTER: Final = 3


async def push(world: World, seen: ObservedInstance) -> float | None:
    """Put rules, keys and notice in force in the agent, and the rules at the same time in the NetworkPolicy.

    Returns None when it is done, else the seconds after which to try again. The push begins at once, so what it
    forbids is shut before the slower enforcer of NetworkPolicies, or a load balancer, has it.
    """
    instance = seen.instance
    memory = world.state(Memories).of(instance.metadata.namespace, instance.public_id)
    rules = await rulebook.read_rules(world, instance, memory)
    memory.found = memory.found or not memory.policy
    lease = lease_parts(world, instance, Lease(instance.status.deployment or "", instance.status.epoch or 0))

    async def tell() -> None:
        await asyncio.sleep(0)  # the push is on its way before the policy of hundreds of rules is worked out
        if lease is not None:
            await apply_sources(world, lease, memory, desired.compiled(rules), _pod(seen))

    try:
        error, _ = await together(_push(world, seen, memory, rules), tell())
    except ClusterError:
        memory.outdate_policy()
        raise
    if error is None:
        return None
    delay: float = min(FIRST_RETRY * 2.0 ** min(memory.failures - 1, 12), LONGEST_RETRY)
    if memory.failures > REPORT_AFTER:
        log.warning("push failed", instance=instance.public_id, error=error, failures=memory.failures)
    return delay


async def _push(world: World, seen: ObservedInstance, memory: Memory, rules: list[FirewallRule]) -> str | None:
    """Push once, or twice where the agent turns out to have something newer; the error, if any."""
    instance, pod = seen.instance, _pod(seen)
    agent = AgentAddress(pod.ip, pod.name, instance.status.epoch or 0)
    if seen.vpn is not None and seen.vpn.must_refuse:
        # Before the door opens: a pod that was made again knows no revoked client.
        try:
            await clients.refuse(world, instance, pod)
        except AgentError as error:
            memory.failures, memory.error = memory.failures + 1, str(error)
            return str(error)
    body, keys = rulebook.ruleset(world, instance, rules, pod), instance.spec.ssh_keys
    former = memory.sent
    if former is None and instance.status.pod_uid == pod.uid:
        former = instance.status.firewall
    for _ in range(2):
        if former is not None and world.confirm is not None and desired.term_of(former.generation) > world.term:
            await world.confirm()  # that of a later leader; or of an earlier one, before the cluster was restored
        generation = desired.next_generation(world.term, former, digest_of(body))
        state = desired.push(body, agent.epoch, generation, keys, f"{seen.machine_notice}{seen.notice}")
        memory.sent = InForce(generation=state.generation, digest=state.digest)
        try:
            await world.state(AgentClient).push(agent, state)
        except StaleError as stale:
            former = InForce(generation=stale.generation, digest=stale.digest)
            continue
        except AgentError as error:
            memory.failures, memory.error = memory.failures + 1, str(error)
            return str(error)
        memory.acknowledged = memory.sent
        memory.keys, memory.notice = desired.keys_digest(keys), seen.notice
        memory.machine_notice = seen.machine_notice
        memory.failures, memory.error = 0, ""
        log.info("in force", instance=instance.public_id, generation=state.generation, rules=len(rules))
        return None
    memory.failures, memory.error = memory.failures + 1, "another operator pushes to the agent"
    return memory.error


def probe(world: World, seen: ObservedInstance) -> None:
    """Start to find out whether sshd listens and packets arrive; the end of it brings the instance back."""
    instance, address = seen.instance, seen.address
    if address is None:
        raise RuntimeError("only an instance with an address is probed")
    memory = world.state(Memories).of(instance.metadata.namespace, instance.public_id)
    pod = _pod(seen)
    agent = AgentAddress(pod.ip, pod.name, instance.status.epoch or 0)

    key = Key(INSTANCE, instance.metadata.namespace, instance.metadata.name)

    async def knock() -> None:
        if memory.path is None:
            began = time.monotonic()
            stands = await path_stands(address.ipv4, address.port, PATH_SECONDS)
            since = memory.refused_since or began
            if stands is False and began - since < REFUSED_SECONDS and not rulebook.refuses_us(memory, pod):
                memory.refused_since = since
                return
            memory.path, memory.refused_since = bool(stands), None

    async def run() -> None:
        knocking = asyncio.create_task(knock())
        delay = 0.0
        try:
            listening = await world.state(AgentClient).listening(agent, names.SSH_PORT)
            await knocking
            memory.listening = listening
        except AgentError as error:
            # The agent went away between the push and the question: push again first.
            memory.acknowledged, memory.failures, memory.error = None, memory.failures + 1, str(error)
            delay = PROBE_RETRY
        finally:
            knocking.cancel()
        memory.probe = None
        world.queue.add_after(key, delay)

    memory.stop_probe()
    memory.probe = asyncio.create_task(run(), name=f"probe {instance.public_id}")


async def report(world: World, seen: ObservedInstance, plan: Plan) -> None:
    """Write the status and, where they do not say it yet, the rules' conditions and owners."""
    instance = seen.instance
    before = status.is_ready(instance)
    new = status.reported(seen, plan, world.now())
    memory = world.state(Memories).of(instance.metadata.namespace, instance.public_id)
    writes: list[Awaitable[Object | None]] = [write_status(world, instance, instance.status, new)]
    if seen.agent.current and not seen.rules_settled and not settles_later(seen, world.now()):
        writes.extend(_settle(world, instance, memory))
    written, *_ = await together(*writes)
    if written is not None and status.is_ready(after := Instance.parse(written)) and not before:
        took = (world.now() - parse_time(after.metadata.creation_timestamp)).total_seconds()
        if instance.status.ready_time is None:
            metrics.LAUNCH_SECONDS.observe(took)
        log.info("ready", instance=after.public_id, seconds_after_creation=round(took, 1))


def _settle(world: World, instance: Instance, memory: Memory) -> list[Awaitable[Object | None]]:
    pending: list[Awaitable[Object | None]] = []
    for rule in memory.rules or ():
        if not rulebook.owned(rule, instance):
            pending.append(_adopt(world, rule, instance, memory))
        if not rulebook.in_force(rule):
            pending.append(_say(world, rule, memory, True, "the agent acknowledged it"))
    return pending


async def _adopt(world: World, rule: FirewallRule, instance: Instance, memory: Memory) -> Object | None:
    references = [*(r.wire() for r in rule.metadata.owner_references), instance.reference()]
    if any(r.controller for r in rule.metadata.owner_references):
        references[-1] = {**references[-1], "controller": False}
    body: Object = {"metadata": {"ownerReferences": references}}
    return await _patch_rule(world, rule, memory, body)


async def lose(world: World, instance: Instance) -> None:
    """Say of every rule that it is in force no more: its pod is gone, and another starts with none of them."""
    memory = world.state(Memories).of(instance.metadata.namespace, instance.public_id)
    rules = await rulebook.read_rules(world, instance, memory)
    message = "the pod is gone: it comes into force again with another"
    await together(*(_say(world, rule, memory, False, message) for rule in rules if rulebook.in_force(rule)))


async def _say(world: World, rule: FirewallRule, memory: Memory, holds: bool, message: str) -> Object | None:
    generation = rule.metadata.generation
    entry = condition(
        "InForce", holds, "InForce" if holds else "PodLost", message, now=world.now(), generation=generation
    )
    conditions = [c.wire() for c in merged(rule.status.conditions, [entry])]
    body: Object = {"status": {"conditions": conditions, "observedGeneration": generation}}
    return await _patch_rule(world, rule, memory, body)


async def _patch_rule(world: World, rule: FirewallRule, memory: Memory, body: Object) -> Object | None:
    namespace, name = rule.metadata.namespace, rule.metadata.name
    subresource = "status" if "status" in body else None
    try:
        answer = await world.client.patch(RULES, namespace, name, body, subresource=subresource)
    except NotFoundError:  # deleted meanwhile: its event brings the instance back
        return None
    memory.keep_rule(FirewallRule.parse(answer))
    return answer


def _pod(seen: ObservedInstance) -> PodView:
    if seen.pod is None:
        raise RuntimeError("only an instance with a pod is served")
    return seen.pod
