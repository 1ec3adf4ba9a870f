"""Places in the queue: /reservations, /reservation."""

from typing import Annotated, Final

from fastapi import APIRouter, Path

from berth_api.dependencies import BEARER, SharedState, User
from berth_api.http.answers import Empty
from berth_api.http.requests import refusals
from berth_api.reservations import service
from berth_api.reservations.schemas import Reservations, ReservationShown

router = APIRouter(tags=["reservations"], dependencies=BEARER)

ReservationId = Annotated[str, Path(description="Id of a reservation.")]
PATH: Final = "/reservation/{reservation_id:id}"
WRONG_TOKEN: Final = "The token does not count, or does not permit it."  # noqa: S105 (an error's text)
UNKNOWN: Final = "reservation not found: none that waits, or not the caller's."
AWAY: Final = "The cluster is out of reach, or others are changing the same thing."


@router.get(
    "/reservations",
    summary="The caller's reservations",
    response_model_exclude_none=True,
    responses=refusals(_400=WRONG_TOKEN, _503=AWAY),
)
async def list_all(state: SharedState, user: User) -> Reservations:
    """List the reservations that wait, in the order of the queue; a superuser sees everyone's."""
    return Reservations(reservations=await service.listed(state, user))


@router.get(
    PATH,
    summary="One reservation",
    response_model_exclude_none=True,
    responses=refusals(_400=WRONG_TOKEN, _404=UNKNOWN, _503=AWAY),
)
async def one(state: SharedState, user: User, reservation_id: ReservationId) -> ReservationShown:
    """Show a reservation that waits."""
    return await service.one(state, user, reservation_id)


@router.delete(
    PATH,
    summary="Give up a reservation",
    responses=refusals(_400=WRONG_TOKEN, _404=UNKNOWN, _503=AWAY),
    response_class=Empty,
)
async def cancel(state: SharedState, user: User, reservation_id: ReservationId) -> Empty:
    """Give up a place in the queue, for good. Once the turn has come there is nothing to give up: 404."""
    await service.cancel(state, user, reservation_id)
    return Empty()
