"""The container with which pods without an agent begin, and the way to what it tries (ADR 0052). Pure."""

from typing import Final

from berth_core import names
from berth_core.kube.types import Object
from berth_operator.settings.config import Config

CONTROL_PORT: Final = 8473
"""Policies of pods without an agent let them in here, at the Service berth-canary."""
CANARY_PORT: Final = 8474
"""The same process listens here, and no policy of theirs lets them in."""
SECONDS: Final = 60
"""Time that an enforcer has to put a policy in force once the pod has an address."""
PROGRAM: Final = ("python3", "-m", "berth_operator.enforcement.wall")
RESOURCES: Final = {"requests": {"cpu": "10m", "memory": "24Mi"}, "limits": {"memory": "64Mi"}}


def init_containers(config: Config, *, within: int) -> list[Object]:
    """Init containers that come before all others; none where no networks of machines are named.

    ``within`` are the seconds that the pod's Job has: it gives up early enough to say why.
    """
    if not config.machines:
        return []
    seconds = min(SECONDS, max(1, within // 2))
    container: Object = {
        "name": names.WALL_CONTAINER,
        "image": config.agent_image,
        "imagePullPolicy": config.agent_pull_policy,
        "command": [*PROGRAM, *map(str, (seconds, CONTROL_PORT, CANARY_PORT)), *config.canary],
        # Its last line says why it has failed.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": RESOURCES,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return [container]


def egress(config: Config) -> list[Object]:
    """Entries of a NetworkPolicy's egress that let such pods to the control port, and not to the canary."""
    if not config.machines:
        return []
    peer = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": config.namespace}},
        "podSelector": {"matchLabels": {names.COMPONENT_LABEL: "canary"}},
    }
    return [{"to": [peer], "ports": [{"protocol": "TCP", "port": CONTROL_PORT}]}]
