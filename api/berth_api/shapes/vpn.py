"""How VPNs look to clients. Pure."""

from berth_api.shapes import Shape
from berth_core.resources import Instance


def vpn_status(instance: Instance) -> Shape:
    """Shape the state of an instance's VPN."""
    if not instance.spec.vpn:
        return {"status": "nil"}
    return {"status": "preparing", "clients": list[str]()}
