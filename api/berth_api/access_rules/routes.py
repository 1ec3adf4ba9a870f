"""Access to deployments: /rules, /deployment/:id/rule and /lockout."""

from collections.abc import Iterable
from typing import Annotated, Final

from fastapi import APIRouter, Path
from starlette.convertors import Convertor, register_url_convertor

from berth_api.access_rules import service
from berth_api.access_rules.schemas import AccessRuleMade, AccessRuleRequest, AccessRules, AccessRuleShown
from berth_api.dependencies import BEARER, Body, DeploymentId, Query, SharedState, User
from berth_api.http.answers import Empty
from berth_api.http.bodies import bound
from berth_api.http.requests import query_parameters, refusals
from berth_core.resources import AccessRule


class RuleIdConvertor(Convertor[int]):
    """A rule's number in a path, in its plain form. Anything else is an unrecognized command."""

    regex = "(?:0|[1-9][0-9]{0,9})"

    def convert(self, value: str) -> int:
        """Return the number."""
        return int(value)

    def to_string(self, value: int) -> str:
        """Return its digits."""
        return str(value)


register_url_convertor("rule", RuleIdConvertor())

router = APIRouter(tags=["access"], dependencies=BEARER)

RuleId = Annotated[int, Path(description="Number of an access rule.")]
WRONG_TOKEN: Final = "The token does not count, or does not permit it."  # noqa: S105 (an error's text)
UNKNOWN: Final = "no workspace deployment found with given ID"
NOT_OWNER: Final = "Only owners of the deployment and superusers may change it."
AWAY: Final = "The cluster is out of reach, or others are changing the same thing."
PARAMETERS: Final = query_parameters(to_user="Only rules that name this user; `*`: rules for everybody.")
REFUSALS: Final = refusals(_400=WRONG_TOKEN, _403=NOT_OWNER, _404=UNKNOWN, _503=AWAY)


@router.get(
    "/rules",
    summary="Access rules",
    responses=refusals(_400=WRONG_TOKEN, _503=AWAY),
    openapi_extra=PARAMETERS,
)
async def list_all(state: SharedState, user: User, query: Query) -> AccessRules:
    """List the rules of the caller's deployments, and those that concern the caller; a superuser sees all."""
    return _answer(await service.listed(state, user, query.get("to_user") or None))


@router.get(
    "/deployment/{deployment_id:id}/rules",
    summary="Access rules of a deployment",
    responses=refusals(_400=WRONG_TOKEN, _404=UNKNOWN, _503=AWAY),
    openapi_extra=PARAMETERS,
)
async def list_of_deployment(state: SharedState, user: User, query: Query, deployment_id: DeploymentId) -> AccessRules:
    """List the rules of one deployment: all for its owners and superusers, for others those that concern them."""
    return _answer(await service.of_deployment(state, user, deployment_id, query.get("to_user") or None))


@router.post(
    "/deployment/{deployment_id:id}/rule",
    summary="Make an access rule",
    responses=REFUSALS,
)
async def add(
    state: SharedState,
    user: User,
    options: Annotated[AccessRuleRequest, bound(AccessRuleRequest)],
    deployment_id: DeploymentId,
) -> AccessRuleMade:
    """Permit or forbid a user, or everybody, to instantiate a deployment. The most specific rule decides."""
    return AccessRuleMade(rule_id=await service.add(state, user, deployment_id, options.cap, options.user))


@router.delete(
    "/deployment/{deployment_id:id}/rule/{rule_id:rule}",
    summary="Delete an access rule",
    responses=refusals(_400=WRONG_TOKEN, _403=NOT_OWNER, _404=f"rule not found, or {UNKNOWN}", _503=AWAY),
    response_class=Empty,
)
async def remove(state: SharedState, user: User, deployment_id: DeploymentId, rule_id: RuleId) -> Empty:
    """Delete a rule of a deployment."""
    await service.remove(state, user, deployment_id, rule_id)
    return Empty()


@router.post(
    "/deployment/{deployment_id:id}/lockout",
    summary="Refuse new instances of a deployment",
    responses=REFUSALS,
    response_class=Empty,
)
async def lock(state: SharedState, user: User, _: Body, deployment_id: DeploymentId) -> Empty:
    """Lock a deployment: it takes no new instances, and those that run go on. Repeating it changes nothing."""
    await service.lock(state, user, deployment_id, locked=True)
    return Empty()


@router.delete(
    "/deployment/{deployment_id:id}/lockout",
    summary="Take new instances of a deployment again",
    responses=REFUSALS,
    response_class=Empty,
)
async def unlock(state: SharedState, user: User, deployment_id: DeploymentId) -> Empty:
    """Unlock a deployment. Repeating it changes nothing."""
    await service.lock(state, user, deployment_id, locked=False)
    return Empty()


def _answer(rules: Iterable[AccessRule]) -> AccessRules:
    return AccessRules(rules=[AccessRuleShown.of(rule) for rule in rules])
