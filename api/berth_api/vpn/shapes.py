"""How VPNs look to clients. Pure."""

from collections.abc import Sequence

from berth_api.http.answers import Shape
from berth_core.kube import conditions
from berth_core.resources import Instance
from berth_core.state import VPN_READY


def vpn_status(instance: Instance, clients: Sequence[str]) -> Shape:
    """Shape the state of an instance's VPN; ``clients`` are the ids of its clients."""
    if not instance.spec.vpn:
        return {"status": "nil"}
    ready = conditions.is_true(instance.status.conditions, VPN_READY)
    return {"status": "ready" if ready else "preparing", "clients": list(clients)}
