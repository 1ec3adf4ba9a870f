"""An instance's VPN: /vpn."""

from typing import Annotated, Final

from fastapi import APIRouter, Path
from starlette.convertors import Convertor, register_url_convertor

from berth_api.dependencies import BEARER, Body, InstanceId, SharedState, User
from berth_api.http.answers import Empty
from berth_api.http.errors import INSTANCE_BUSY
from berth_api.http.requests import refusals
from berth_api.vpn import service
from berth_api.vpn.schemas import VpnClient, VpnStatus

router = APIRouter(tags=["vpn"], dependencies=BEARER)


class ClientIdConvertor(Convertor[str]):
    """Id of a VPN client in a path."""

    regex = "[A-Za-z0-9][A-Za-z0-9_.-]{0,127}"

    def convert(self, value: str) -> str:
        """Return the id."""
        return value

    def to_string(self, value: str) -> str:
        """Return the id."""
        return value


register_url_convertor("vpnclient", ClientIdConvertor())

ClientId = Annotated[str, Path(description="Id of a VPN client.")]
INACTIVE: Final = "The instance ends or has ended."


@router.get(
    "/vpn/{instance_id:id}",
    summary="State of the VPN",
    response_model_exclude_none=True,
    responses=refusals(_400=INACTIVE, _404="instance not found"),
)
async def show(state: SharedState, user: User, instance_id: InstanceId) -> VpnStatus:
    """Show whether there is a VPN, and its clients."""
    return VpnStatus.of(*await service.show(state, user, instance_id))


@router.post(
    "/vpn/{instance_id:id}",
    summary="Make a VPN client",
    responses=refusals(
        _400="It has no VPN, or one that signs no more clients, or it ends or has ended.",
        _404="instance not found",
        _503=INSTANCE_BUSY,
    ),
)
async def add(state: SharedState, user: User, _: Body, instance_id: InstanceId) -> VpnClient:
    """Make a client; 503 while the VPN is being prepared."""
    client_id, profile = await service.add_client(state, user, instance_id)
    return VpnClient(client_id=client_id, ovpn=profile)


@router.delete(
    "/vpn/{instance_id:id}/{client_id:vpnclient}",
    summary="Revoke a VPN client",
    responses=refusals(_400=INACTIVE, _404="No such instance, or no such client."),
    response_class=Empty,
)
async def revoke(state: SharedState, user: User, instance_id: InstanceId, client_id: ClientId) -> Empty:
    """Revoke a client: it is cut off, and its profile does not count any more."""
    await service.revoke_client(state, user, instance_id, client_id)
    return Empty()
