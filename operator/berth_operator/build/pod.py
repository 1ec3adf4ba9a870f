"""The pod of a lease (docs/architecture.md, "The pod of a lease")."""

from typing import Final

from berth_core import names
from berth_core.client import Object
from berth_core.resources.workspacetype import Template, Volume
from berth_operator.build.common import LeaseParts
from berth_operator.config import Config

SSHD_CAPABILITIES: Final = (
    "CHOWN", "SETUID", "SETGID", "SYS_CHROOT", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE",
)  # fmt: skip
GRACE_SECONDS: Final = 2
DEFAULT_REQUESTS: Final[dict[str, str | int]] = {"cpu": "50m", "memory": "64Mi"}
DEFAULT_LIMITS: Final[dict[str, str | int]] = {"cpu": "2", "memory": "1Gi", "ephemeral-storage": "4Gi"}
AGENT_RESOURCES: Final = {"requests": {"cpu": "5m", "memory": "24Mi"}, "limits": {"memory": "64Mi"}}
SHARED: Final = "16Mi"
STAY: Final = [
    {"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": "NoExecute"}
    for taint in ("not-ready", "unreachable")
]
"""A silent node keeps its pods: the holder goes on where he was when it comes back."""
_COMMAND: Final = ["python3", "-m", "berth_agent"]


def pod(lease: LeaseParts, config: Config) -> Object:
    """Manifest of the pod; it keeps its object until we take the finalizer off."""
    template = lease.type.spec.template
    overrides = lease.deployment.spec.overrides
    spec: Object = {
        "restartPolicy": "Always",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "hostname": "workspace",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [_agent(config)],
        "containers": [_workspace(lease)],
        "volumes": [*_own_volumes(lease), *(_volume(volume) for volume in template.volumes)],
        "nodeSelector": template.node_selector | overrides.node_selector,
        "tolerations": [*(toleration.wire() for toleration in template.tolerations), *STAY],
        "imagePullSecrets": [secret.wire() for secret in template.image_pull_secrets],
        "resourceClaims": [claim.wire() for claim in template.resource_claims],
    }
    if template.runtime_class_name:
        spec["runtimeClassName"] = template.runtime_class_name
    if config.user_namespaces:
        spec["hostUsers"] = False
    metadata = lease.metadata(names.instance_object(lease.id), finalizers=[names.FENCE_FINALIZER])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _agent(config: Config) -> Object:
    return {
        "name": names.AGENT_CONTAINER,
        "image": config.agent_image,
        "imagePullPolicy": config.agent_pull_policy,
        "command": _COMMAND,
        "restartPolicy": "Always",
        "ports": [{"name": "agent", "containerPort": names.AGENT_PORT, "protocol": "TCP"}],
        # The workspace starts only after this has ended well: nothing listens before the door is shut.
        "lifecycle": {"postStart": {"exec": {"command": [*_COMMAND, "closed"]}}},
        "resources": AGENT_RESOURCES,
        "securityContext": {
            "runAsUser": 0,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
        },
        "volumeMounts": [
            {"name": "berth-agent", "mountPath": "/etc/berth-agent", "readOnly": True},
            {"name": "berth-run", "mountPath": "/run/berth"},
            {"name": "berth-agent-state", "mountPath": "/var/lib/berth-agent"},
        ],
    }


def _workspace(lease: LeaseParts) -> Object:
    template = lease.type.spec.template
    container: Object = {
        "name": names.WORKSPACE_CONTAINER,
        "image": template.image,
        "imagePullPolicy": template.image_pull_policy,
        "env": _environment(lease),
        "ports": [{"name": names.SSH_PORT_NAME, "containerPort": names.SSH_PORT, "protocol": "TCP"}],
        "resources": _resources(lease),
        "securityContext": _security(template),
        "volumeMounts": [
            {"name": "berth-host-keys", "mountPath": "/etc/berth/host-keys", "readOnly": True},
            {"name": "berth-run", "mountPath": "/run/berth", "readOnly": True},
            *(
                {"name": f"v-{volume.name}", "mountPath": volume.mount_path, "readOnly": volume.read_only}
                for volume in template.volumes
            ),
        ],
    }
    if template.command:
        container["command"] = list(template.command)
    return container


def _security(template: Template) -> Object:
    if template.privileged:
        return {"privileged": True, "runAsUser": 0}
    return {
        "runAsUser": 0,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": [*SSHD_CAPABILITIES, *template.add_capabilities]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _environment(lease: LeaseParts) -> list[Object]:
    merged = {variable.name: variable.value for variable in lease.type.spec.template.env}
    merged |= {variable.name: variable.value for variable in lease.deployment.spec.overrides.env}
    return [{"name": name, "value": value} for name, value in merged.items()]


def _resources(lease: LeaseParts) -> Object:
    template = lease.type.spec.template
    devices = template.devices | lease.deployment.spec.overrides.devices
    limits = {**DEFAULT_LIMITS, **template.resources.limits, **devices}
    requests = {**DEFAULT_REQUESTS, **template.resources.requests, **devices}
    # A limit without a request of its own is the request, as everywhere in Kubernetes, so that none exceeds its limit.
    for name in ("cpu", "memory"):
        if name in template.resources.limits and name not in template.resources.requests:
            requests.pop(name)
    # A request without a limit of its own must not exceed our default.
    for name in template.resources.requests:
        if name in DEFAULT_LIMITS and name not in template.resources.limits:
            limits.pop(name)
    found: Object = {"requests": requests, "limits": limits}
    if template.resource_claims:
        found["claims"] = [{"name": claim.name} for claim in template.resource_claims]
    return found


def _own_volumes(lease: LeaseParts) -> list[Object]:
    workspace = names.workspace_secret(lease.id, lease.epoch)
    agent = names.agent_secret(lease.id, lease.epoch)
    memory = {"medium": "Memory", "sizeLimit": SHARED}
    return [
        {"name": "berth-agent", "secret": {"secretName": agent, "defaultMode": 0o400}},
        {"name": "berth-host-keys", "secret": {"secretName": workspace, "defaultMode": 0o400}},
        {"name": "berth-run", "emptyDir": memory},
        {"name": "berth-agent-state", "emptyDir": memory},
    ]


def _volume(volume: Volume) -> Object:
    found: Object = {"name": f"v-{volume.name}"}
    if volume.config_map is not None:
        found["configMap"] = volume.config_map.wire()
    elif volume.persistent_volume_claim is not None:
        found["persistentVolumeClaim"] = {"claimName": volume.persistent_volume_claim.name}
    elif volume.host_path is not None:
        found["hostPath"] = volume.host_path.wire()
    else:
        found["emptyDir"] = volume.empty_dir.wire() if volume.empty_dir else {}
    return found
