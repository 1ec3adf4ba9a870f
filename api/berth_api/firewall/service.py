"""An instance's firewall: FirewallRule resources in the order of their evaluation."""

import asyncio
from typing import Final

from berth_api import lookups
from berth_api.auth import access
from berth_api.auth.access import Scope
from berth_api.auth.identity import Identity
from berth_api.firewall import schemas
from berth_api.http.errors import INSTANCE_BUSY, AwayError, BadRequestError, BusyError
from berth_api.idempotency.making import create
from berth_api.state import State
from berth_core import names
from berth_core.firewall.model import Action
from berth_core.kube import conditions
from berth_core.kube import errors as cluster
from berth_core.reading import readable
from berth_core.resources import FirewallRule, FirewallRuleSpec, Instance, manifest
from berth_core.state import BOUND

MOST_RULES: Final = 256
ATTEMPTS: Final = 64
"""Attempts at a free place while others take places; then the caller is told to try again."""


async def rules(state: State, identity: Identity, instance_id: str) -> list[FirewallRule] | None:
    """Read the rules in order, live; None while the instance is not bound."""
    instance = await _active(state, identity, instance_id)
    return await _ordered(state, instance) if _is_bound(instance) else None


async def append(state: State, identity: Identity, instance_id: str, source: str, action: schemas.Action) -> None:
    """Add a rule behind all others; ``source`` is in CIDR notation."""
    instance = await _changeable(state, identity, instance_id)
    present = await _ordered(state, instance)
    if len(present) >= MOST_RULES:
        raise BadRequestError(f"a firewall has at most {MOST_RULES} rules: clear them first")
    first = max((rule.spec.order for rule in present), default=-1) + 1
    for order in range(first, first + ATTEMPTS):
        spec = FirewallRuleSpec(instance=instance.public_id, order=order, source=source, action=action)
        body = _manifest(identity, instance, spec)
        try:
            await create(state.client, FirewallRule, body)
        except cluster.AlreadyExistsError:
            continue  # another request took this place at the same time
        return
    raise AwayError("others are changing the same firewall. Try again.")


async def clear(state: State, identity: Identity, instance_id: str) -> None:
    """Remove all rules, ACCEPT rules first, so that the firewall never opens on the way."""
    instance = await _changeable(state, identity, instance_id)
    present = await _ordered(state, instance)
    letting_in = [rule for rule in present if rule.spec.action == Action.ACCEPT]
    keeping_out = [rule for rule in present if rule.spec.action != Action.ACCEPT]
    for batch in (letting_in, keeping_out):
        await asyncio.gather(*(_delete(state, rule) for rule in batch))


async def _active(state: State, identity: Identity, instance_id: str) -> Instance:
    instance = await lookups.instance_for(state, identity, instance_id)
    access.need_active(instance)
    return instance


async def _changeable(state: State, identity: Identity, instance_id: str) -> Instance:
    access.need_instance(identity, instance_id)
    access.need_write(identity, Scope.CHANGE)
    instance = await _active(state, identity, instance_id)
    if not _is_bound(instance):
        raise BusyError(INSTANCE_BUSY)
    return instance


def _is_bound(instance: Instance) -> bool:
    return conditions.is_true(instance.status.conditions, BOUND)


async def _ordered(state: State, instance: Instance) -> list[FirewallRule]:
    # By the spec, not by label, so that rules made with kubectl are listed and cleared too.
    objects, _ = await state.client.list(
        FirewallRule.api(), instance.metadata.namespace, fields={"spec.instance": instance.public_id}
    )
    living = (rule for rule in readable(FirewallRule, objects) if rule.metadata.deletion_timestamp is None)
    return sorted(living, key=lambda rule: (rule.spec.order, rule.metadata.name))


async def _delete(state: State, rule: FirewallRule) -> None:
    metadata = rule.metadata
    await state.client.delete(FirewallRule.api(), metadata.namespace, metadata.name, uid=metadata.uid)


def _manifest(identity: Identity, instance: Instance, spec: FirewallRuleSpec) -> dict[str, object]:
    return manifest(
        FirewallRule,
        instance.metadata.namespace,
        f"{instance.metadata.name}-{spec.order}",
        spec,
        labels={names.INSTANCE_LABEL: spec.instance, names.MANAGED_BY_LABEL: names.MANAGED_BY} | identity.labels,
        ownerReferences=[instance.reference()],
    )
