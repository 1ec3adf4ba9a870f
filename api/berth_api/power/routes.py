"""Power of an instance's machine: /addon/power."""

from typing import Annotated

from fastapi import APIRouter, Response

from berth_api.dependencies import BEARER, InstanceId, SharedState, User
from berth_api.http.bodies import bound
from berth_api.http.errors import INSTANCE_BUSY
from berth_api.http.requests import refusals
from berth_api.power import service
from berth_api.power.schemas import Power, PowerRequest

router = APIRouter(tags=["addons"], dependencies=BEARER)

PATH = "/addon/power/{instance_id:id}"
MISSING = "No such instance, or its machine has no such add-on."


@router.get(
    PATH,
    summary="State of a machine's relay",
    response_model_exclude_none=True,
    responses=refusals(_404=MISSING),
)
async def show(state: SharedState, user: User, instance_id: InstanceId) -> Power:
    """Show whether the relay can be worked, and the latest order."""
    return Power.of(*await service.show(state, user, instance_id))


@router.post(
    PATH,
    summary="Switch a machine's power",
    response_model_exclude_none=True,
    responses={
        202: {"model": Power, "description": "Not done yet: `GET` of the same path shows how it goes on."},
        **refusals(
            _400="A wrong value, or the instance ends, has ended, or has no time left.",
            _404=MISSING,
            _503=INSTANCE_BUSY,
        ),
    },
)
async def switch(
    state: SharedState,
    user: User,
    options: Annotated[PowerRequest, bound(PowerRequest)],
    instance_id: InstanceId,
    response: Response,
) -> Power:
    """Switch power on or off, or off and on again. An order is tried for a minute."""
    shown = Power.of(*await service.order(state, user, instance_id, options.do))
    if not shown.done:
        response.status_code = 202
        response.headers["Location"] = f"/addon/power/{instance_id}"
    return shown
