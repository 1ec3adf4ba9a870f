"""Whether an instance's VPN serves, and why not. Pure."""

from berth_core import state
from berth_core.kube.conditions import find
from berth_operator.instances.observed import STARTING, ObservedInstance
from berth_operator.pods.view import ORDINARY


def serves(seen: ObservedInstance) -> tuple[bool, str, str]:
    """Whether clients can connect to the instance's VPN, and why not."""
    pod, vpn = seen.pod, seen.vpn
    if vpn is None or not vpn.offered:
        return (False, "NotOffered", "no VPN is offered here: the chart's value vpn.enabled is false")
    if pod is None:
        return (False, *STARTING)
    if pod.vpn.state != "running" and pod.vpn.reason not in ORDINARY:
        return (False, pod.vpn.reason or "NotRunning", pod.vpn.message or "the VPN's container does not run")
    former = find(seen.instance.status.conditions, state.VPN_READY)
    if vpn.ready is None and former is not None and seen.instance.status.pod_uid == pod.uid:
        return (former.status == "True", former.reason, former.message)  # it is being asked again
    if vpn.ready and vpn.address is None:
        return (False, "NoAddress", seen.address_problem or "the VPN's port has no address yet")
    if vpn.ready:
        return (True, "Serving", "clients can connect")
    return (False, "NoTunnel", vpn.problem) if vpn.problem else (False, *STARTING)
