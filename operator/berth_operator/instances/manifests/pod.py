"""The pod of a lease (docs/explanation/architecture.md, "The pod of a lease")."""

from typing import Final

from berth_core import names
from berth_core.kube.types import Object
from berth_operator.instances.manifests import repository, vpn
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.manifests.template import common, environment, mounts, resources, security, volumes
from berth_operator.settings.config import Config

AGENT_RESOURCES: Final = {"requests": {"cpu": "5m", "memory": "24Mi"}, "limits": {"memory": "64Mi"}}
CARRYING_RESOURCES: Final = {"requests": {"cpu": "10m", "memory": "56Mi"}, "limits": {"memory": "128Mi"}}
"""With a process beside it that carries streams to a machine behind a connector."""
SHARED: Final = "16Mi"
_STATE: Final = "/var/lib/berth-agent"
CLOSED: Final = f"mkfifo -m 600 {_STATE}/closed 2>/dev/null; read -r closed < {_STATE}/closed"
"""Waits until the agent says that it has shut the door. Either may come first, so either makes the pipe."""


def pod(lease: LeaseParts, config: Config) -> Object:
    """Manifest of the pod, whose object stays until we take the finalizer off."""
    tunnel = vpn.settings(lease, config)
    spec: Object = common(lease, config, vpn=tunnel is not None) | {
        "restartPolicy": "Always",
        "hostname": "workspace",
        "initContainers": [_agent(lease, config)],
        "containers": [_workspace(lease, config)],
        "volumes": [*_own_volumes(lease), *volumes(lease)],
    }
    if tunnel is not None:
        spec["containers"].append(vpn.container(tunnel))
        spec["volumes"] += vpn.volumes(lease)
        spec["initContainers"][0]["volumeMounts"] += vpn.agent_mounts()
    if (clone := repository.clone(lease, config)) is not None:
        # After the agent, so behind a shut door, and before the workspace, whose holder finds it there.
        spec["initContainers"].append(repository.container(clone))
        spec["containers"][0]["volumeMounts"].append(repository.mount(clone))
        spec["volumes"] += repository.volumes(clone)
    labels = lease.labels | names.type_labels(lease.type.metadata.name)
    metadata = lease.metadata(lease.name, finalizers=[names.FENCE_FINALIZER]) | {"labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _agent(lease: LeaseParts, config: Config) -> Object:
    return {
        "name": names.AGENT_CONTAINER,
        "image": config.agent_image,
        "imagePullPolicy": config.agent_pull_policy,
        "command": ["python3", "-m", "berth_agent"],
        "restartPolicy": "Always",
        "ports": [{"name": "agent", "containerPort": names.AGENT_PORT, "protocol": "TCP"}],
        # The workspace starts only after this has ended well: nothing listens before the door is shut.
        "lifecycle": {"postStart": {"exec": {"command": ["sh", "-c", CLOSED]}}},
        "resources": CARRYING_RESOURCES if lease.way is not None else AGENT_RESOURCES,
        "securityContext": {
            "runAsUser": 0,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
        },
        "volumeMounts": [
            {"name": "berth-agent", "mountPath": "/etc/berth-agent", "readOnly": True},
            {"name": "berth-run", "mountPath": "/run/berth"},
            {"name": "berth-agent-state", "mountPath": _STATE},
        ],
    }


def _workspace(lease: LeaseParts, config: Config) -> Object:
    template = lease.type.spec.template
    container: Object = {
        "name": names.WORKSPACE_CONTAINER,
        "image": template.image,
        "imagePullPolicy": template.image_pull_policy,
        "env": environment(lease),
        "ports": [{"name": names.SSH_PORT_NAME, "containerPort": names.SSH_PORT, "protocol": "TCP"}],
        "resources": resources(lease),
        "securityContext": security(template, config.confinement),
        "volumeMounts": [
            {"name": "berth-host-keys", "mountPath": "/etc/berth/host-keys", "readOnly": True},
            {"name": "berth-run", "mountPath": "/run/berth", "readOnly": True},
            *mounts(lease),
        ],
    }
    if template.command:
        container["command"] = list(template.command)
    return container


def _own_volumes(lease: LeaseParts) -> list[Object]:
    workspace = lease.workspace_secret
    agent = names.agent_secret(workspace)
    memory = {"medium": "Memory", "sizeLimit": SHARED}
    return [
        {"name": "berth-agent", "secret": {"secretName": agent, "defaultMode": 0o400}},
        {"name": "berth-host-keys", "secret": {"secretName": workspace, "defaultMode": 0o400}},
        {"name": "berth-run", "emptyDir": memory},
        {"name": "berth-agent-state", "emptyDir": memory},
    ]
