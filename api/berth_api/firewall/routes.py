"""An instance's firewall: /firewall."""

from typing import Annotated, Final

from fastapi import APIRouter

from berth_api.dependencies import BEARER, InstanceId, Peer, SharedState, User
from berth_api.firewall import service
from berth_api.firewall.schemas import FirewallRequest, FirewallRules, cidr
from berth_api.http.answers import Empty
from berth_api.http.bodies import bound
from berth_api.http.errors import INSTANCE_BUSY
from berth_api.http.requests import refusals

router = APIRouter(tags=["firewall"], dependencies=BEARER)

REFUSALS: Final = refusals(_400="The instance ends or has ended, or a value is wrong.", _404="instance not found")
CHANGE_REFUSALS: Final = REFUSALS | refusals(_503=INSTANCE_BUSY)
PATH: Final = "/firewall/{instance_id:id}"


@router.get(PATH, summary="Rules in the order in which they count", responses=REFUSALS)
async def show(state: SharedState, user: User, instance_id: InstanceId) -> FirewallRules:
    """List the rules; null while there is no chain yet."""
    rules = await service.rules(state, user, instance_id)
    pairs = [[rule.spec.source, rule.spec.action] for rule in rules] if rules is not None else None
    return FirewallRules(rules=pairs)


@router.post(PATH, summary="Append a rule", responses=CHANGE_REFUSALS, response_class=Empty)
async def append(
    state: SharedState,
    user: User,
    peer: Peer,
    options: Annotated[FirewallRequest, bound(FirewallRequest)],
    instance_id: InstanceId,
) -> Empty:
    """Append a rule; without `src` it is about the caller's address."""
    await service.append(state, user, instance_id, options.src or cidr(str(peer)), options.action)
    return Empty()


@router.delete(PATH, summary="Clear the rules: nobody gets in", responses=CHANGE_REFUSALS, response_class=Empty)
async def clear(state: SharedState, user: User, instance_id: InstanceId) -> Empty:
    """Remove all rules."""
    await service.clear(state, user, instance_id)
    return Empty()
