"""Types and deployments: /workspaces, /deployments, /deployment, /queuelen."""

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter

from berth_api.cache import listing
from berth_api.dependencies import BEARER, Caller, DeploymentId, Query, SharedState, TypeName
from berth_api.deployments import service
from berth_api.deployments.schemas import DeploymentDetail, Deployments, QueueLength, WorkspaceTypes
from berth_api.http.answers import JSON
from berth_api.http.requests import query_parameters, refusals
from berth_api.state import State

router = APIRouter(tags=["deployments"])

UNKNOWN: Final = "no workspace deployment found with given ID"
PARAMETERS: Final = query_parameters(
    q="Part of the type, region or description, in any case.",
    maxlen="Longest queue (a number), or `u`: any.",
    types="Comma list of types; `!t` excludes t. Overrides the type in the path.",
    sort_by="`inc_wtype` (default), `dec_wtype`, `inc_created`, `dec_created`, `inc_count`, `dec_count`.",
    max_per_page="Ids on a page; 0 (default): all on one.",
    page="From 1; past the end: the last.",
    info="Add `info`. True when present, unless `0`, `f` or `false`.",
    with_dissolved="Also those that were taken away. True when present, unless `0`, `f` or `false`.",
)
TYPES_PARAMETERS: Final = query_parameters(with_dissolved="Also types that are kept for their history only.")


@router.get("/workspaces", summary="Names of the types", openapi_extra=TYPES_PARAMETERS)
async def workspaces(state: SharedState, query: Query) -> WorkspaceTypes:
    """List the names of the workspace types, sorted."""
    with_dissolved = listing.flag(query, "with_dissolved")
    return WorkspaceTypes(workspace_types=service.type_names(state, with_dissolved=with_dissolved))


@router.get("/deployments", summary="Deployments", response_model=Deployments, openapi_extra=PARAMETERS)
async def list_all(state: SharedState, query: Query) -> JSON:
    """List deployments of all types."""
    return _list(state, query, None)


@router.get(
    "/deployments/{type_name:type}",
    summary="Deployments of a type",
    response_model=Deployments,
    openapi_extra=PARAMETERS,
)
async def list_of_type(state: SharedState, query: Query, type_name: TypeName) -> JSON:
    """List deployments of one type."""
    return _list(state, query, type_name)


def _list(state: State, query: Mapping[str, str], type_name: str | None) -> JSON:
    # Rows are kept as JSON: 1,000 of them take 0.07 ms, and 0.7 ms as models of :class:`Deployments`.
    if not listing.flag(query, "info"):
        ids = service.listed_ids(state, query, type_name)
        return JSON({"workspace_deployments": ids.items, "page_count": ids.count})
    page = service.listed(state, query, type_name)
    return JSON(
        {
            "workspace_deployments": [row.deployment.id for row in page.items],
            "page_count": page.count,
            "info": {row.deployment.id: row.info for row in page.items},
        }
    )


@router.get(
    "/deployment/{deployment_id:id}",
    summary="One deployment",
    response_model_exclude_none=True,
    responses=refusals(_404=UNKNOWN),
    dependencies=BEARER,
)
async def one(state: SharedState, caller: Caller, deployment_id: DeploymentId) -> DeploymentDetail:
    """Show a deployment."""
    return DeploymentDetail.of(await service.detail(state, deployment_id, caller), caller)


@router.get(
    "/queuelen/{deployment_id:id}",
    summary="Queue length of a deployment",
    responses=refusals(_404=UNKNOWN),
)
async def queue_length(state: SharedState, deployment_id: DeploymentId) -> QueueLength:
    """Show the length of the queue before a newcomer."""
    deployment = await service.existing(state, deployment_id)
    return QueueLength(id=deployment.id, len=service.queue_length(state, deployment))
