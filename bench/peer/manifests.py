"""Objects of the peer's: its installation with our settings, and a pool with the pod that Berth keeps warm."""

import base64
import json
from pathlib import Path
from typing import Final

from bench.warm import TEMPLATE

from berth_core.kube.types import Kind, Object
from berth_operator.instances.manifests.pod import SHARED
from berth_operator.instances.manifests.template import GRACE_SECONDS, SSHD_CAPABILITIES

SYSTEM_NAMESPACE: Final = "agent-sandbox-system"
"""The controller's, as its own manifests name it."""
NAMESPACE: Final = "agent-sandbox-bench"
"""The pool's."""
NAME: Final = "bench"
API: Final = "extensions.agents.x-k8s.io/v1beta1"
SECRETS: Final = Kind("v1", "secrets")
TEMPLATES: Final = Kind(API, "sandboxtemplates")
POOLS: Final = Kind(API, "sandboxwarmpools")
CLAIMS: Final = Kind(API, "sandboxclaims")
UNCLAIMED: Final = {"agents.x-k8s.io/warm-pool-sandbox": ""}
"""Labels of pods that no claim has got yet."""


def installation(base: str) -> Object:
    """Kustomization of the peer's own one, whose folder is ``base``, relative to the file's.

    The controller is a process (bench/peer/installation.py), so its Deployment is left out. The API server does not
    reach it, so nothing is converted: all that anybody here speaks is the version that is stored.
    """
    no_deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "any"}, "$patch": "delete"}
    no_conversion = [{"op": "replace", "path": "/spec/conversion", "value": {"strategy": "None"}}]
    patches = {"Deployment": no_deployment, "CustomResourceDefinition": no_conversion}
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [base],
        "patches": [{"target": {"kind": kind}, "patch": json.dumps(patch)} for kind, patch in patches.items()],
    }


def pool_of(count: int, host_key: Path) -> list[tuple[Kind, Object]]:
    """Return the objects of a pool of so many pods, in the order in which they are made."""
    pair = {"ssh_host_ed25519_key": host_key, "ssh_host_ed25519_key.pub": host_key.with_suffix(".pub")}
    data = {name: base64.b64encode(path.read_bytes()).decode() for name, path in pair.items()}
    replicas: Object = {"replicas": count, "sandboxTemplateRef": {"name": NAME}}
    return [
        (SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME}, "data": data}),
        (TEMPLATES, _object("SandboxTemplate", NAME, {"podTemplate": {"metadata": {}, "spec": _pod()}})),
        (POOLS, _object("SandboxWarmPool", NAME, replicas)),
    ]


def claim(name: str) -> Object:
    """A claim of any pod of the pool."""
    return _object("SandboxClaim", name, {"warmPoolRef": {"name": NAME}})


def _object(kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _pod() -> Object:
    """Pod of a warm lease (berth_operator.instances.manifests.pod) without the agent, which only Berth has."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "hostUsers": False,
        "hostname": "workspace",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "workspace",
                **TEMPLATE,
                "ports": [{"name": "ssh", "containerPort": 22, "protocol": "TCP"}],
                "securityContext": {
                    "runAsUser": 0,
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"], "add": [*SSHD_CAPABILITIES]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "volumeMounts": [
                    {"name": "berth-host-keys", "mountPath": "/etc/berth/host-keys", "readOnly": True},
                    {"name": "berth-run", "mountPath": "/run/berth", "readOnly": True},
                ],
            }
        ],
        "volumes": [
            {"name": "berth-host-keys", "secret": {"secretName": NAME, "defaultMode": 0o400}},
            {"name": "berth-run", "emptyDir": {"medium": "Memory", "sizeLimit": SHARED}},
        ],
    }
