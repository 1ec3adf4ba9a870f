"""Desired firewall of an instance, from its FirewallRules."""

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from berth_core.firewall import NO_MACHINES, Machines, Rule, Tunnel, digest_of, parse_source, ruleset_body, stamp
from berth_core.kube.types import Object
from berth_core.resources import FirewallRule, FirewallRuleSpec, Instance, manifest
from berth_core.resources.instance import InForce
from berth_operator.agents.client import Push

CHANGES_BITS: Final = 20
"""Of a generation: the rest is the term. Both fit into the 53 bits that every JSON reader keeps while the cluster's
resourceVersions are below 2**33, and into the agent's 63 bits beyond."""


def first_rule(instance: Instance) -> Object | None:
    """FirewallRule that lets the requester in; None where the request came without an address."""
    address = instance.spec.requester_address
    if not address:
        return None
    spec = FirewallRuleSpec(instance=instance.public_id, order=0, source=str(parse_source(address)), action="ACCEPT")
    name = f"{instance.metadata.name}-0"
    return manifest(FirewallRule, instance.metadata.namespace, name, spec, ownerReferences=[instance.reference()])


def ordered(rules: Iterable[FirewallRule]) -> list[FirewallRule]:
    """Rules in the order in which packets meet them. One that is being deleted counts no more."""
    living = (rule for rule in rules if rule.metadata.deletion_timestamp is None)
    return sorted(living, key=lambda rule: (rule.spec.order, rule.metadata.name))


def compiled(rules: Sequence[FirewallRule]) -> list[Rule]:
    """Rules as the compilers take them."""
    return [_rule(rule.spec.source, rule.spec.action) for rule in rules]


@lru_cache(maxsize=8192)
def _rule(source: str, action: str) -> Rule:
    """Read once what each pass needs again: an instance may have hundreds."""
    return Rule.parse(source, action)


def body(
    rules: Sequence[Rule], own_address: str | None, tunnel: Tunnel | None = None, machines: Machines = NO_MACHINES
) -> str:
    """Ruleset without its stamp; ``own_address`` is where the operator's path check comes from."""
    return _body(tuple(rules), own_address, tunnel, machines)


@lru_cache(maxsize=256)
def _body(rules: tuple[Rule, ...], own_address: str | None, tunnel: Tunnel | None, machines: Machines) -> str:
    """Compile once for the look that finds a change, the push that follows, and the look after that."""
    sources = [parse_source(str(ip_address(own_address)))] if own_address else []
    return ruleset_body(rules, operator_sources=sources, tunnel=tunnel, machines=machines)


def ended(machines: Machines = NO_MACHINES) -> str:
    """Ruleset, without its stamp, of a lease that is over: it lets nobody in, and resets open connections."""
    return ruleset_body((), machines=machines, ended=True)


def push(ruleset: str, epoch: int, generation: int, keys: Iterable[str], notice: str = "") -> Push:
    """Push for the agent."""
    return Push(generation, digest_of(ruleset), stamp(ruleset, epoch, generation), tuple(keys), notice)


def next_generation(term: int, present: InForce | None, digest: str) -> int:
    """Generation under which a leader of a term pushes a ruleset to an agent that has ``present`` in force.

    A ruleset of this term that is pushed again keeps its number. Each number of a term is greater than all numbers of
    the terms before, so that no push of a former leader comes after one of ours.
    """
    floor = term << CHANGES_BITS
    if present is None:
        return floor + 1
    if present.generation >= floor and present.digest == digest:
        return present.generation
    return max(present.generation, floor) + 1


def term_of(generation: int) -> int:
    """Term of the leader that pushed a generation; 0 where an earlier version did, which had none."""
    return generation >> CHANGES_BITS


def keys_digest(keys: Iterable[str]) -> str:
    """A short name for a list of keys, to tell whether they changed."""
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()
