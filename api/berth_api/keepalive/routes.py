"""Keeping an instance: /instance/:id/ka, /instance/:id/extend."""

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from berth_api.auth import access
from berth_api.auth.authentication import Standing
from berth_api.auth.identity import Identity
from berth_api.dependencies import BEARER, Body, Caller, InstanceId, SharedState, User
from berth_api.http.answers import Empty
from berth_api.http.bodies import bound
from berth_api.http.errors import ApiError
from berth_api.http.requests import refusals
from berth_api.keepalive import service
from berth_api.keepalive.schemas import Extended, ExtendRequest
from berth_api.ratelimit import count

router = APIRouter(tags=["instances"], dependencies=BEARER)


async def get_pinger(request: Request, caller: Caller) -> Identity:
    """Return the caller of a ping, also while it is unknown whether the token was revoked. Raises WrongTokenError.

    That happens while the cluster is out of reach, when a ping must not be refused.
    """
    standing: Standing = request.state.standing
    if caller is None and standing.unconfirmed is not None:
        return standing.unconfirmed
    if standing.refusal is not None:
        raise standing.refusal
    return access.present(caller)


Pinger = Annotated[Identity, Depends(get_pinger)]


@router.post(
    "/instance/{instance_id:id}/ka",
    summary="Keep an instance alive",
    responses=refusals(
        _400="The instance ends or has ended, or the token does not permit it.",
        _404="No such instance, or keep-alive was not asked for.",
    ),
    response_class=Empty,
)
async def keep_alive(request: Request, state: SharedState, pinger: Pinger, _: Body, instance_id: InstanceId) -> Empty:
    """Say that the holder is there; an instance made with `keepalive` is ended after 60 seconds without a ping.

    Only a ping that keeps no instance of the caller's counts as a request.
    """
    # Before any read, so that a ping beyond the limit costs nothing.
    is_free = service.keeps(state, pinger, instance_id)
    if not is_free:
        await count(request.scope)
    try:
        await service.ping(state, pinger, instance_id, time.monotonic())
    except ApiError:
        if is_free:
            await count(request.scope)
        raise
    return Empty()


@router.post(
    "/instance/{instance_id:id}/extend",
    summary="Put off the end of an instance",
    responses=refusals(
        _400="A wrong value, too long, no later than now, or the instance ends or has ended.",
        _404="instance not found",
        _409="Others wait, and it is more than the type permits then.",
    ),
)
async def extend(
    state: SharedState,
    user: User,
    options: Annotated[ExtendRequest, bound(ExtendRequest)],
    instance_id: InstanceId,
) -> Extended:
    """Put off the end, to some seconds from now."""
    return Extended(expires=await service.extend(state, user, instance_id, options.expire_d))
