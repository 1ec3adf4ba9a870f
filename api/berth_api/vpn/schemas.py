"""An instance's VPN."""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, Field

from berth_core.kube import conditions
from berth_core.resources import Instance
from berth_core.state import VPN_READY


class VpnStatus(BaseModel):
    """State of a VPN."""

    status: Literal["nil", "preparing", "ready"] = Field(description="`nil` where the instance has none.")
    clients: list[str] | None = Field(
        None, description="Ids of its clients, where there is a VPN; `workspace` is the workspace itself."
    )

    @classmethod
    def of(cls, instance: Instance, clients: Sequence[str]) -> Self:
        """Show the state of an instance's VPN; ``clients`` are the ids of its clients."""
        if not instance.spec.vpn:
            return cls(status="nil")
        ready = conditions.is_true(instance.status.conditions, VPN_READY)
        return cls(status="ready" if ready else "preparing", clients=list(clients))


class VpnClient(BaseModel):
    """A client that was made."""

    client_id: str = Field(description="Names it where it is revoked.")
    ovpn: str = Field(description="Profile for `openvpn --config`; it holds the private key, and is shown once.")
