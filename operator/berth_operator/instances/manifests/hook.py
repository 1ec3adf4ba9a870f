"""The Job that runs a hook, and the Secret without which it cannot start."""

from typing import Final

from berth_core import names
from berth_core.kube.types import Object
from berth_core.resources.workspacetype import Hook
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.manifests.template import common, environment, mounts, resources, security, volumes
from berth_operator.podspec import wall
from berth_operator.settings.config import Config

PLACE: Final = "/etc/berth/hook"
_FENCE: Final = "berth-hook"
_DISRUPTED: Final[Object] = {
    "action": "Ignore",
    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
}
"""A node that is drained has not made the hook fail: another pod begins it anew, within the same time."""


def secret(lease: LeaseParts, name: str, nonce: str) -> Object:
    """Secret that the hook ``name`` mounts: once it is deleted, no pod of it can start, whenever it is made."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": lease.metadata(_secret_name(lease, name, nonce), labels=_labels(lease, name)),
        "type": "Opaque",
        "stringData": {"epoch": str(lease.epoch)},
    }


def job(lease: LeaseParts, name: str, nonce: str, hook: Hook, config: Config) -> Object:
    """Manifest of the Job of the hook ``name``: one try; its pod keeps its object until we take the finalizer off."""
    labels, own = _labels(lease, name), names.hook_object(lease.id, lease.epoch, name)
    spec = common(lease, config) | {
        "restartPolicy": "Never",
        "containers": [_container(lease, name, hook, config)],
        "volumes": [
            {"name": _FENCE, "secret": {"secretName": _secret_name(lease, name, nonce), "defaultMode": 0o444}},
            *volumes(lease),
        ],
    }
    if first := wall.init_containers(config, within=hook.timeout):
        spec["initContainers"] = first
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": lease.metadata(own, labels=labels),
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": hook.timeout,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": [_DISRUPTED]},
            "template": {"metadata": {"labels": labels, "finalizers": [names.FENCE_FINALIZER]}, "spec": spec},
        },
    }


def _secret_name(lease: LeaseParts, name: str, nonce: str) -> str:
    return names.hook_secret(names.hook_object(lease.id, lease.epoch, name), nonce)


def _labels(lease: LeaseParts, name: str) -> dict[str, str]:
    return lease.labels | {names.HOOK_LABEL: name}


VARIABLES: Final = {
    "BERTH_HOOK": "Name of the hook: `prepare`, `reset` or `health`.",
    "BERTH_DEPLOYMENT": "Name of the deployment.",
    "BERTH_INSTANCE": "Id of the instance.",
}


def _container(lease: LeaseParts, name: str, hook: Hook, config: Config) -> Object:
    template = lease.type.spec.template
    about = {"BERTH_HOOK": name, "BERTH_DEPLOYMENT": lease.deployment.metadata.name, "BERTH_INSTANCE": lease.id}
    variables = [variable for variable in environment(lease) if variable["name"] not in about]
    return {
        "name": names.HOOK_CONTAINER,
        "image": hook.image or template.image,
        "imagePullPolicy": template.image_pull_policy,
        "command": list(hook.command),
        "env": [*variables, *({"name": key, "value": value} for key, value in about.items())],
        "resources": resources(lease),
        "securityContext": security(template, config.confinement),
        "volumeMounts": [{"name": _FENCE, "mountPath": PLACE, "readOnly": True}, *mounts(lease)],
    }
