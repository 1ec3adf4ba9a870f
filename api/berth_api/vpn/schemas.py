"""An instance's VPN."""

from typing import Literal

from pydantic import BaseModel, Field


class VpnStatus(BaseModel):
    """State of a VPN."""

    status: Literal["nil", "preparing", "ready"] = Field(description="`nil` where the instance has none.")
    clients: list[str] | None = Field(
        None, description="Ids of its clients, where there is a VPN; `workspace` is the workspace itself."
    )


class VpnClient(BaseModel):
    """A client that was made."""

    client_id: str = Field(description="Names it where it is revoked.")
    ovpn: str = Field(description="Profile for `openvpn --config`; it holds the private key, and is shown once.")
