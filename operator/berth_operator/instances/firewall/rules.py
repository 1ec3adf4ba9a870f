"""The FirewallRules of an instance, as of one moment, and the ruleset made from them."""

from collections.abc import Iterable
from ipaddress import ip_address

from berth_core import names
from berth_core.firewall import Action, Tunnel
from berth_core.kube.cache import version_of
from berth_core.kube.errors import UnreadableError
from berth_core.kube.types import Object
from berth_core.reading import at, report
from berth_core.resources import FirewallRule, Instance
from berth_core.vpn import DEVICE
from berth_operator.agents.reachability import own_address
from berth_operator.engine.world import TermState, World
from berth_operator.instances.firewall import desired
from berth_operator.instances.memory import Memory
from berth_operator.kinds import RULES
from berth_operator.pods.view import PodView


class RulesListed(dict[str, int], TermState):
    """Version of the last list of all FirewallRules, by namespace."""


async def look(world: World, instance: Instance, memory: Memory, pod: PodView) -> tuple[bool, bool]:
    """Whether what the agent acknowledged is what the rules say, and whether every rule shows it and has its owner."""
    rules = await read_rules(world, instance, memory)
    state = desired.push(ruleset(world, instance, rules, pod), instance.status.epoch or 0, 0, instance.spec.ssh_keys)
    current = (
        memory.in_force is not None
        and memory.in_force.digest == state.digest
        and memory.keys == desired.keys_digest(instance.spec.ssh_keys)
    )
    return current, all(in_force(rule) and owned(rule, instance) for rule in rules)


def ruleset(world: World, instance: Instance, rules: list[FirewallRule], pod: PodView) -> str:
    """Return the ruleset that an instance should have, without its stamp."""
    settings = world.config.vpn if instance.spec.vpn else None
    tunnel = Tunnel(DEVICE, settings.tunnel.network) if settings is not None else None
    machines = world.config.grounds.around(instance.network)
    return desired.body(desired.compiled(rules), own_address(pod.ip, names.AGENT_PORT), tunnel, machines)


def refuses_us(memory: Memory, pod: PodView) -> bool:
    """Whether a rule refuses the operator's own packets, whose refusal says nothing of the path then."""
    own = own_address(pod.ip, names.AGENT_PORT)
    if own is None or memory.rules is None:
        return False
    rules = desired.compiled(desired.ordered(memory.rules))
    return next((rule.action for rule in rules if ip_address(own) in rule.source), None) is Action.REJECT


async def read_rules(world: World, instance: Instance, memory: Memory) -> list[FirewallRule]:
    """Rules in order, as of one moment, from one list: events of several objects come in no certain order.

    The list shows at least all that was heard. One that was under way when news of a rule came may be older than the
    news: the pass that these ask for reads again.
    """
    if memory.rules is None:
        memory.rules = _listed_rules(world, instance, memory)
    if memory.rules is not None:
        return desired.ordered(memory.rules)
    changed, namespace = memory.rules_changed, instance.metadata.namespace
    fields = {"spec.instance": instance.public_id}
    since = _known_until(world, instance, memory)
    objects, _ = await world.client.list(RULES, namespace, fields=fields, not_older_than=since)
    for obj in objects:
        # A watch that has to begin anew tells nothing of what was made and deleted meanwhile: relist() finds it here.
        world.cache[RULES].put(obj)
    rules = _readable(objects)
    if memory.rules_changed == changed:
        memory.rules = rules
    return desired.ordered(rules)


def _known_until(world: World, instance: Instance, memory: Memory) -> int | None:
    """Return the newest moment that anything heard of its rules is of; None where no list has shown them all yet.

    Events do not tell of rules that were deleted before the list of all rules.
    """
    namespace = instance.metadata.namespace
    as_of = world.state(RulesListed).get(namespace)
    if as_of is None:
        return None
    objects = world.cache[RULES].by("instance", instance.public_id, namespace)
    return max(as_of, memory.rules_heard, *map(version_of, objects))


def _listed_rules(world: World, instance: Instance, memory: Memory) -> list[FirewallRule] | None:
    """Rules as the last list of all rules showed them; None where news came since."""
    namespace = instance.metadata.namespace
    as_of = world.state(RulesListed).get(namespace)
    objects = world.cache[RULES].by("instance", instance.public_id, namespace)
    if as_of is None or memory.rules_changed or any(version_of(rule) > as_of for rule in objects):
        return None
    unreadable = world.cache[RULES].unreadable(namespace)
    return _readable([*objects, *(obj for obj in unreadable if at(obj, "spec", "instance") == instance.public_id)])


def _readable(objects: Iterable[Object]) -> list[FirewallRule]:
    """Rules of an instance. An unreadable rule lets nobody in.

    Raises:
        UnreadableError: one may keep somebody out. Without it the others mean something else, so all stays as it is.

    """
    rules = []
    for obj in objects:
        try:
            rules.append(FirewallRule.parse(obj))
        except UnreadableError as error:
            if at(obj, "spec", "action") != Action.ACCEPT:
                raise
            report(error)
    return rules


def presume_rules(world: World, instance: Instance, memory: Memory, rule: Object | None, changed: int) -> None:
    """Take the rule that was just made, if any, for all that an instance has, unless more was heard since ``changed``.

    Nobody but who asked for the instance knows of it yet, and a list costs its holder up to 100 ms. Another rule that
    is made meanwhile is heard of, as in every later moment.
    """
    events = world.cache[RULES].by("instance", instance.public_id, instance.metadata.namespace)
    memory.presume_rules([FirewallRule.parse(rule)] if rule is not None else [], events, changed)


def in_force(rule: FirewallRule) -> bool:
    """Whether a rule's status says that it is in force."""
    return any(c.type == "InForce" and c.status == "True" for c in rule.status.conditions)


def owned(rule: FirewallRule, instance: Instance) -> bool:
    """Whether a rule goes when its Instance goes."""
    return any(reference.uid == instance.metadata.uid for reference in rule.metadata.owner_references)
