"""Fields of all pods of a lease, workspace and hooks, by the type's template and the deployment's overrides."""

from typing import Final

from berth_core import overrides
from berth_core.kube.types import Object
from berth_core.quantities import larger
from berth_core.resources.workspacetype import Template, Volume
from berth_operator.instances.manifests import claim
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.manifests.isolation import of_lease, runtime_class
from berth_operator.podspec.network import dns_fields
from berth_operator.settings.config import Config
from berth_operator.settings.confinement import Confinement

SSHD_CAPABILITIES: Final = (
    "CHOWN", "SETUID", "SETGID", "SYS_CHROOT", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "AUDIT_WRITE",
)  # fmt: skip
"""Capabilities that sshd needs, all within Pod Security's `baseline`. Without AUDIT_WRITE it ends each session that
asks for a terminal, where the kernel has auditing."""
GRACE_SECONDS: Final = 2
DEFAULT_REQUESTS: Final[dict[str, str | int]] = {"cpu": "50m", "memory": "64Mi"}
DEFAULT_LIMITS: Final[dict[str, str | int]] = {"cpu": "2", "memory": "1Gi", "ephemeral-storage": "4Gi"}
STAY: Final = [
    {"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": "NoExecute"}
    for taint in ("not-ready", "unreachable")
]
"""A silent node keeps its pods: the holder's work goes on when the node comes back."""


def common(lease: LeaseParts, config: Config, *, vpn: bool = False) -> Object:
    """Fields of the pod's spec that say where it runs and what it may; ``vpn`` says that it has a VPN's container."""
    template = lease.type.spec.template
    spec: Object = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "nodeSelector": overrides.node_selector(template, lease.deployment.spec.overrides),
        "tolerations": [*(toleration.wire() for toleration in template.tolerations), *STAY],
        "imagePullSecrets": [secret.wire() for secret in template.image_pull_secrets],
        "resourceClaims": [*(one.wire() for one in template.resource_claims), *claim.of_pod(lease)],
        **dns_fields(config),
    }
    if runtime := runtime_class(lease, config):
        spec["runtimeClassName"] = runtime
    if of_lease(lease, config, vpn=vpn).on:
        spec["hostUsers"] = False
    return spec


def volumes(lease: LeaseParts) -> list[Object]:
    """The template's volumes."""
    return [_volume(volume) for volume in lease.type.spec.template.volumes]


def mounts(lease: LeaseParts) -> list[Object]:
    """Where a container sees them."""
    return [
        {"name": f"v-{volume.name}", "mountPath": volume.mount_path, "readOnly": volume.read_only}
        for volume in lease.type.spec.template.volumes
    ]


def security(template: Template, confinement: Confinement) -> Object:
    """Security context of a container that does the type's work."""
    if template.privileged:
        return {"privileged": True, "runAsUser": 0}
    return {
        "runAsUser": 0,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": [*SSHD_CAPABILITIES, *template.add_capabilities]},
        **confinement.profiles(),
    }


def environment(lease: LeaseParts) -> list[Object]:
    """The template's environment with the deployment's overrides."""
    merged = {variable.name: variable.value for variable in lease.type.spec.template.env}
    merged |= {variable.name: variable.value for variable in lease.deployment.spec.overrides.env}
    return [{"name": name, "value": value} for name, value in merged.items()]


def resources(lease: LeaseParts) -> Object:
    """Requests and limits, devices included."""
    template = lease.type.spec.template
    devices = overrides.devices(template, lease.deployment.spec.overrides)
    limits = {**DEFAULT_LIMITS, **template.resources.limits, **devices}
    requests = {**DEFAULT_REQUESTS, **template.resources.requests, **devices}
    # A limit without a request of its own is the request, as everywhere in Kubernetes, so that none exceeds its limit.
    for name in ("cpu", "memory"):
        if name in template.resources.limits and name not in template.resources.requests:
            requests.pop(name)
    # A request without a limit of its own must not exceed our default; there is always a limit.
    for name, amount in template.resources.requests.items():
        if name in DEFAULT_LIMITS and name not in template.resources.limits:
            limits[name] = larger(amount, DEFAULT_LIMITS[name])
    result: Object = {"requests": requests, "limits": limits}
    if names := [*(one.name for one in template.resource_claims), *map(claim.name_in_pod, lease.devices)]:
        result["claims"] = [{"name": name} for name in names]
    return result


def _volume(volume: Volume) -> Object:
    manifest: Object = {"name": f"v-{volume.name}"}
    if volume.config_map is not None:
        manifest["configMap"] = volume.config_map.wire()
    elif volume.persistent_volume_claim is not None:
        manifest["persistentVolumeClaim"] = {"claimName": volume.persistent_volume_claim.name}
    elif volume.host_path is not None:
        manifest["hostPath"] = volume.host_path.wire()
    else:
        manifest["emptyDir"] = volume.empty_dir.wire() if volume.empty_dir else {}
    return manifest
