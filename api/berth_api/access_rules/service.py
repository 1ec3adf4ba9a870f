"""Access to deployments: AccessRule resources, and the deployment's lockout."""

from collections.abc import Iterable
from typing import Final

from berth_api import lookups, marks
from berth_api.access_rules.schemas import Capability
from berth_api.auth import access
from berth_api.auth.identity import Identity
from berth_api.cache.deployment import Deployment
from berth_api.deployments import service
from berth_api.http.errors import AwayError, BadRequestError, MissingError
from berth_api.idempotency.making import create
from berth_api.state import State
from berth_core import names
from berth_core.kube import errors as cluster
from berth_core.resources import AccessRule, WorkspaceDeployment, manifest
from berth_core.resources.accessrule import AccessRuleSpec

MOST_RULES: Final = 1000
"""Rules of one deployment."""
ATTEMPTS: Final = 64
"""Attempts at a free number while others take numbers; then the caller is told to try again."""
SMALL_ID: Final = 65535
"""Public clients hold a rule's number in 16 bits."""


async def of_deployment(state: State, identity: Identity, deployment_id: str, to_user: str | None) -> list[AccessRule]:
    """Read the rules of one deployment that the caller may see, live. Raises MissingError."""
    access.need_unconstrained(identity)
    deployment = await service.existing(state, deployment_id)
    rules = await lookups.rules_of(state, deployment)
    if not access.owns(identity, deployment):
        rules = [rule for rule in rules if access.concerns(identity, rule)]
    return _ordered(rules, to_user)


async def listed(state: State, identity: Identity, to_user: str | None) -> list[AccessRule]:
    """List the rules that the caller may see: of owned deployments live, others that concern the caller from the cache.

    Rules of deleted deployments are shown to superusers only.
    """
    access.need_unconstrained(identity)
    if identity.superuser:
        return _ordered(await lookups.rules(state), to_user)
    state.caches.need_fresh()
    owned = [d for d in state.caches.deployments if access.owns(identity, d)]
    keys = {(d.namespace, d.name) for d in owned}
    live = [rule for rules in (await lookups.rules_among(state, owned)).values() for rule in rules]
    concerning = (rule for rule in state.caches.rules if access.concerns(identity, rule))
    others = (rule for rule in concerning if (rule.metadata.namespace, rule.spec.deployment) not in keys)
    return _ordered([*live, *(rule for rule in others if _has_deployment(state, rule))], to_user)


async def add(state: State, identity: Identity, deployment_id: str, capability: Capability, user: str) -> int:
    """Make a rule about a user, `*` for everybody; return its number.

    Raises MissingError, NotPermittedError, BadRequestError.
    """
    deployment = await _changeable(state, identity, deployment_id)
    present = await lookups.rules(state)
    key = deployment.namespace, deployment.name
    if sum((rule.metadata.namespace, rule.spec.deployment) == key for rule in present) >= MOST_RULES:
        raise BadRequestError(f"a workspace deployment has at most {MOST_RULES} access rules: delete some first")
    taken = {rule.spec.rule_id for rule in present}
    for _ in range(ATTEMPTS):
        number = next_rule_id(taken)
        spec = AccessRuleSpec(deployment=deployment.name, user=user, capability=capability, rule_id=number)
        try:
            await create(state.client, AccessRule, _manifest(identity, deployment, spec))
        except cluster.AlreadyExistsError:
            taken.add(number)  # by a concurrent request, or as the name of a rule with another number
            continue
        await marks.mark_of(state, deployment.namespace, deployment.name)
        return number
    raise AwayError("others are making access rules at the same time. Try again.")


async def remove(state: State, identity: Identity, deployment_id: str, rule_id: int) -> None:
    """Delete a rule. Raises MissingError, NotPermittedError."""
    deployment = await _changeable(state, identity, deployment_id)
    doomed = [rule.metadata for rule in await lookups.rules_of(state, deployment) if rule.spec.rule_id == rule_id]
    if not doomed:
        # It may have been deleted just now, without a mark.
        await marks.mark_of(state, deployment.namespace, deployment.name)
        raise MissingError("rule not found")
    # Rules made with kubectl may share a number: delete all of that number.
    for metadata in doomed:
        await state.client.delete(AccessRule.api(), metadata.namespace, metadata.name, uid=metadata.uid)
    await marks.mark_of(state, deployment.namespace, deployment.name)


async def lock(state: State, identity: Identity, deployment_id: str, *, locked: bool) -> None:
    """Refuse new instances of a deployment, or accept them again. Raises MissingError, NotPermittedError."""
    metadata = (await _changeable(state, identity, deployment_id)).resource.metadata
    body = {"metadata": {"uid": metadata.uid}, "spec": {"lockout": locked}}
    await state.client.patch(WorkspaceDeployment.api(), metadata.namespace, metadata.name, body)


def next_rule_id(taken: Iterable[int]) -> int:
    """Return the number after the greatest; where that exceeds :data:`SMALL_ID`, the least that is free.

    >>> next_rule_id([]), next_rule_id([1, 7]), next_rule_id([1, 3, 70000])
    (1, 8, 2)
    """
    numbers = set(taken)
    following = max(numbers, default=0) + 1
    if following <= SMALL_ID:
        return following
    return next(number for number in range(1, len(numbers) + 2) if number not in numbers)


async def _changeable(state: State, identity: Identity, deployment_id: str) -> Deployment:
    access.need_unconstrained(identity)
    access.need_keeping(identity)
    deployment = await service.existing(state, deployment_id)
    access.need_owner(identity, deployment)
    return deployment


def _has_deployment(state: State, rule: AccessRule) -> bool:
    return lookups.cached_deployment(state, rule.metadata.namespace, rule.spec.deployment) is not None


def _ordered(rules: Iterable[AccessRule], to_user: str | None) -> list[AccessRule]:
    matches = (rule for rule in rules if to_user is None or rule.spec.user == to_user)
    return sorted(matches, key=lambda rule: (rule.spec.rule_id, rule.metadata.namespace, rule.metadata.name))


def _manifest(identity: Identity, deployment: Deployment, spec: AccessRuleSpec) -> dict[str, object]:
    # The rule is deleted with the deployment and does not block its deletion, which would need a right on deployments.
    reference = deployment.resource.reference() | {"controller": False, "blockOwnerDeletion": False}
    return manifest(
        AccessRule,
        deployment.namespace,
        f"rule-{spec.rule_id}",
        spec,
        labels={names.MANAGED_BY_LABEL: names.MANAGED_BY} | identity.labels,
        ownerReferences=[reference],
    )
