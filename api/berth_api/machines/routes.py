"""Machines of owners: POST /deployment, PATCH and DELETE /deployment/:id."""

from typing import Annotated, Final

from fastapi import APIRouter

from berth_api.dependencies import BEARER, DeploymentId, SharedState, User
from berth_api.deployments import service as deployments
from berth_api.deployments.schemas import DeploymentDetail
from berth_api.http.answers import Empty
from berth_api.http.bodies import bound
from berth_api.http.requests import refusals
from berth_api.machines import service
from berth_api.machines.schemas import ChangeRequest, Registered, RegistrationRequest

router = APIRouter(tags=["machines"], dependencies=BEARER)

WRONG: Final = "An option is wrong, or the token does not count, or does not permit it."
UNKNOWN: Final = "no workspace deployment found with given ID"
NOT_GRANTED: Final = "No MachineGrant of the caller's covers the machine."
NOT_OWNER: Final = "Only owners of a deployment that was registered over HTTP may change it, and within a MachineGrant."
IN_USE: Final = "Another deployment has some of the endpoints, or a request with this Idempotency-Key is under way."
AWAY: Final = "The cluster is out of reach, or others are changing the same thing."


@router.post(
    "/deployment",
    summary="Register a machine",
    responses=refusals(_400=WRONG, _403=NOT_GRANTED, _404="no workspace type found with given name", _409=IN_USE),
)
async def register(
    state: SharedState, user: User, options: Annotated[RegistrationRequest, bound(RegistrationRequest)]
) -> Registered:
    """Register a machine of the caller's within a MachineGrant. It is lent once the operator has looked at it."""
    made = await service.register(state, user, options)
    return Registered(id=made.id, grant=made.grant)


@router.patch(
    "/deployment/{deployment_id:id}",
    summary="Change a machine",
    response_model_exclude_none=True,
    responses=refusals(_400=WRONG, _403=NOT_OWNER, _404=UNKNOWN, _409=IN_USE, _503=AWAY),
)
async def change(
    state: SharedState,
    user: User,
    options: Annotated[ChangeRequest, bound(ChangeRequest)],
    deployment_id: DeploymentId,
) -> DeploymentDetail:
    """Change a machine of the caller's. A lease that runs keeps the endpoints that it has."""
    changed = await service.change(state, user, deployment_id, options)
    return DeploymentDetail.of(await deployments.detail_of(state, changed, user), user)


@router.delete(
    "/deployment/{deployment_id:id}",
    summary="Retire a machine",
    responses=refusals(_400=WRONG, _403=NOT_OWNER, _404=UNKNOWN, _503=AWAY),
    response_class=Empty,
)
async def retire(state: SharedState, user: User, deployment_id: DeploymentId) -> Empty:
    """Take a machine of the caller's away for good; its holder keeps it until the lease ends."""
    await service.retire(state, user, deployment_id)
    return Empty()
