"""POST /new: get an instance."""

from typing import Annotated, Final

from fastapi import APIRouter, Path
from starlette.convertors import Convertor, register_url_convertor

from berth_api.dependencies import BEARER, Peer, PublicIdConvertor, SharedState, TypeNameConvertor, User
from berth_api.http.bodies import bound
from berth_api.http.requests import refusals
from berth_api.launch.schemas import LaunchAnyRequest, Launched
from berth_api.launch.service import NONE_MATCHES, launch
from berth_api.reservations.schemas import Reserved
from berth_api.reservations.wish import LaunchRequest, Target, Wish


class TargetConvertor(Convertor[str]):
    """Target after /new in a path: the name of a type, or the id of a deployment. Only an id has hyphens."""

    regex = f"(?:{TypeNameConvertor.regex}|{PublicIdConvertor.regex})"

    def convert(self, value: str) -> str:
        """Return it as it is."""
        return value

    def to_string(self, value: str) -> str:
        """Return it as it is."""
        return value


register_url_convertor("target", TargetConvertor())

router = APIRouter(tags=["instances"], dependencies=BEARER)

LaunchTarget = Annotated[str, Path(description="Name of a workspace type, or id of a workspace deployment.")]

REFUSALS: Final = refusals(
    _400="An option is wrong, the token does not count, or the deployment is dissolved or locked out.",
    _403="The access rules do not permit it.",
    _404=f"{NONE_MATCHES}; of several ids, where one is unknown.",
    _503="All that match are busy, and `reserve` was not asked for; or they are offline or under maintenance; or"
    " the cluster is out of reach.",
)


@router.post(
    "/new",
    summary="Get an instance of any of some deployments",
    response_model_exclude_none=True,
    responses=REFUSALS,
)
async def new_of_any(
    state: SharedState, user: User, peer: Peer, options: Annotated[LaunchAnyRequest, bound(LaunchAnyRequest)]
) -> Launched | Reserved:
    """Get an instance of the best of the listed deployments that is free, or with `reserve` a place in the queue."""
    return await launch(state, Wish(user, Target(deployments=tuple(options.wds)), options, peer))


@router.post(
    "/new/{target:target}",
    summary="Get an instance of a type or of a deployment",
    response_model_exclude_none=True,
    responses=REFUSALS,
)
async def new(
    state: SharedState,
    user: User,
    peer: Peer,
    options: Annotated[LaunchRequest, bound(LaunchRequest)],
    target: LaunchTarget,
) -> Launched | Reserved:
    """Get an instance of the best deployment of a type that is free, or of one deployment.

    With `reserve` it is a place in the queue where there is none.
    """
    goal = Target(deployments=(target.lower(),)) if "-" in target else Target(type=target)
    return await launch(state, Wish(user, goal, options, peer))
