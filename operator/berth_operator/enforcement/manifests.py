"""The pod and the NetworkPolicy that show whether the cluster enforces NetworkPolicy (ADR 0015)."""

from typing import Final

from berth_core import names
from berth_core.kube.types import Object
from berth_operator.settings.config import Config

ADMITTED_PORT: Final = 8471
"""The policy lets the operator in here."""
FORBIDDEN_PORT: Final = 8472
"""The pod listens here too, and the policy lets nobody in."""
LIFE_SECONDS: Final = 300
"""A pod that nobody takes away, because its operator was killed, ends by itself after this."""
_RESOURCES: Final = {"requests": {"cpu": "10m", "memory": "24Mi"}, "limits": {"memory": "64Mi"}}


def probe_pod(name: str, namespace: str, config: Config) -> Object:
    """Manifest: it passes Pod Security `restricted`, has no token, and runs where the scheduler wants."""
    container: Object = {
        "name": "probe",
        "image": config.agent_image,
        "imagePullPolicy": config.agent_pull_policy,
        "command": ["python3", "-m", "berth_operator.enforcement.server", str(ADMITTED_PORT), str(FORBIDDEN_PORT)],
        "ports": [{"containerPort": port, "protocol": "TCP"} for port in (ADMITTED_PORT, FORBIDDEN_PORT)],
        "resources": _RESOURCES,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    spec: Object = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": LIFE_SECONDS,
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    if config.confinement.runtime_class:
        spec["runtimeClassName"] = config.confinement.runtime_class
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _metadata(name, namespace), "spec": spec}


def probe_policy(name: str, namespace: str, config: Config) -> Object:
    """Manifest: the operator alone comes in, to one port, and nothing goes out."""
    operator = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": config.namespace}},
        "podSelector": {"matchLabels": {names.COMPONENT_LABEL: "operator"}},
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(name, namespace),
        "spec": {
            "podSelector": {"matchLabels": {names.PROBE_LABEL: name}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [operator], "ports": [{"protocol": "TCP", "port": ADMITTED_PORT}]}],
            "egress": [],
        },
    }


def _metadata(name: str, namespace: str) -> Object:
    return {"name": name, "namespace": namespace, "labels": {names.PROBE_LABEL: name}}
