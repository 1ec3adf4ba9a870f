"""Waiting times: /qlen."""

from typing import Final

from fastapi import APIRouter

from berth_api.dependencies import BEARER, Query, SharedState, TypeName, User
from berth_api.http.requests import refusals
from berth_api.queues import service
from berth_api.queues.schemas import QueueStates

router = APIRouter(tags=["deployments"], dependencies=BEARER)

WDS: Final = {
    "name": "wds",
    "in": "query",
    "required": True,
    "schema": {"type": "string", "pattern": "^[0-9A-Fa-f-]{36}(,[0-9A-Fa-f-]{36})*$"},
    "description": "Comma list of deployment ids.",
}


@router.get(
    "/qlen",
    summary="Queues of some deployments",
    responses=refusals(_400="`wds` is missing or too long, or the token does not count.", _404="An id is unknown."),
    openapi_extra={"parameters": [WDS]},
)
async def of_deployments(state: SharedState, user: User, query: Query) -> QueueStates:
    """Show the queues of the listed deployments that the caller may instantiate."""
    return service.of_deployments(state, user, service.wanted_ids(query), state.client.clock.now())


@router.get(
    "/qlen/{type_name:type}",
    summary="Queues of the deployments of a type",
    responses=refusals(_404="no workspace type found with given name"),
)
async def of_type(state: SharedState, user: User, type_name: TypeName) -> QueueStates:
    """Show the queues of the deployments of a type that the caller may instantiate."""
    return service.of_type(state, user, type_name, state.client.clock.now())
