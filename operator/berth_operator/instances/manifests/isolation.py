"""Needs of pods on their node: a pod without any gets a user namespace of its own (ADR 0036). Pure."""

from typing import Final

from berth_core import overrides
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.podspec.isolation import _DEVICES, Asks, Verdict, _has_devices, user_namespace
from berth_operator.settings.config import MKNOD, PRIVILEGED, Config

NAMESPACED: Final = frozenset({
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_OWNER", "KILL", "NET_ADMIN",
    "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    "SYS_PTRACE",
})  # fmt: skip
"""Capabilities that count in a user namespace as they do outside of one; the others are asked for in the node's own."""


def of_lease(lease: LeaseParts, config: Config, *, vpn: bool) -> Verdict:
    """Whether a pod of a lease gets a user namespace; ``vpn`` says that the VPN's container is in it."""
    asks = Asks(
        needs=_needs(lease) or (_tunnel(config) if vpn else ""),
        runtime_class=runtime_class(lease, config),
        selector=overrides.node_selector(lease.type.spec.template, lease.deployment.spec.overrides),
    )
    return user_namespace(config.user_namespaces, asks, config.runtimes)


def runtime_class(lease: LeaseParts, config: Config) -> str:
    """RuntimeClass of pods of a lease; empty for the node's default runtime."""
    return lease.type.spec.template.runtime_class_name or config.confinement.runtime_class


def _needs(lease: LeaseParts) -> str:
    template = lease.type.spec.template
    if template.privileged:
        return "the workspace is privileged"
    demands = (template.devices, lease.deployment.spec.overrides.devices, template.resource_claims, lease.devices)
    if any(demands) or any(map(_has_devices, (template.resources.requests, template.resources.limits))):
        return _DEVICES
    if any(volume.host_path is not None for volume in template.volumes):
        return "it has a hostPath volume"
    added = sorted({name.removeprefix("CAP_") for name in template.add_capabilities} - NAMESPACED)
    return f"it adds the capability {added[0]}" if added else ""


def _tunnel(config: Config) -> str:
    """Say what a VPN needs; a device that a plugin brings may be opened in any user namespace."""
    ways = {MKNOD: "its VPN makes its device by mknod", PRIVILEGED: "its VPN is privileged"}
    return ways.get(config.vpn.tun, "") if config.vpn is not None else ""
