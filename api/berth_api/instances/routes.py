"""Instances of a user: /instances, /instance, /terminate."""

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter

from berth_api.auth.identity import Identity
from berth_api.dependencies import BEARER, Body, InstanceId, Query, SharedState, TypeName, User
from berth_api.http.answers import Empty
from berth_api.http.requests import query_parameters, refusals
from berth_api.instances import service as instances
from berth_api.instances.schemas import InstanceDetail, Instances, InstanceSummary, PrivateKey
from berth_api.state import State
from berth_api.vpn import service as vpn

router = APIRouter(tags=["instances"], dependencies=BEARER)

WRONG_TOKEN: Final = "wrong authorization token"  # noqa: S105 (an error's text)
UNKNOWN: Final = "instance not found"
PARAMETERS: Final = query_parameters(
    include_terminated="Present: also those that end or have ended.",
    include_init_fail="Present: also those that never became ready.",
    details="Present: items are objects instead of ids.",
    sort_by="`dec_start_date` (default), `inc_start_date`.",
    max_per_page="Items on a page; 0 (default): all on one.",
    page="From 1; past the end: the last.",
    user="For superusers: their user.",
)


@router.get(
    "/instances",
    summary="The caller's instances",
    responses=refusals(_400=WRONG_TOKEN),
    openapi_extra=PARAMETERS,
)
async def list_all(state: SharedState, user: User, query: Query) -> Instances:
    """List instances of all types."""
    return await _list(state, user, query, None)


@router.get(
    "/instances/{type_name:type}",
    summary="The caller's instances of a type",
    responses=refusals(_400=WRONG_TOKEN),
    openapi_extra=PARAMETERS,
)
async def list_of_type(state: SharedState, user: User, query: Query, type_name: TypeName) -> Instances:
    """List instances of one type."""
    return await _list(state, user, query, type_name)


async def _list(state: State, user: Identity, query: Mapping[str, str], type_name: str | None) -> Instances:
    page = await instances.listed(state, user, query, type_name)
    detailed = "details" in query
    return Instances(
        workspace_instances=[
            InstanceSummary.of(overview) if detailed else overview.instance.public_id for overview in page.items
        ],
        workspace_deployments=[overview.deployment for overview in page.items],
        page_count=page.count,
    )


@router.get(
    "/instance/{instance_id:id}",
    summary="One instance",
    response_model_exclude_none=True,
    responses=refusals(_400=WRONG_TOKEN, _404=UNKNOWN),
)
async def one(state: SharedState, user: User, instance_id: InstanceId) -> InstanceDetail:
    """Show an instance."""
    overview, deployment = await instances.detail(state, user, instance_id)
    clients = await vpn.client_ids(state, overview.instance)
    return InstanceDetail.of(overview, deployment, user, clients)


@router.get(
    "/instance/{instance_id:id}/sshkey",
    summary="The private key that was made for an instance",
    responses=refusals(_400="The instance ends or has ended.", _404="No such instance, or its user brought a key."),
)
async def private_key(state: SharedState, user: User, instance_id: InstanceId) -> PrivateKey:
    """Show the private key."""
    return PrivateKey(key=await instances.private_key(state, user, instance_id))


@router.post(
    "/terminate/{instance_id:id}",
    summary="End an instance",
    responses=refusals(_400="It ends or has ended already; the message has the state's word.", _404=UNKNOWN),
    response_class=Empty,
)
async def terminate(state: SharedState, user: User, _: Body, instance_id: InstanceId) -> Empty:
    """End an instance: its state is TERMINATING at once."""
    await instances.terminate(state, user, instance_id)
    return Empty()
