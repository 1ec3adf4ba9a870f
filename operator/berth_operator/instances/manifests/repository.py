"""The container that clones a repository into a workspace before that starts (ADR 0020). Pure."""

from dataclasses import dataclass
from typing import Final

from berth_core import names
from berth_core.kube.types import Object
from berth_core.quantities import EPHEMERAL_STORAGE
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.manifests.template import resources
from berth_operator.instances.repository import place_of, seconds_of
from berth_operator.settings.config import CloneSettings, Config

RESOURCES: Final = {"requests": {"cpu": "20m", "memory": "48Mi"}, "limits": {"memory": "1Gi"}}
STATE: Final = "16Mi"
PLACE: Final = "/repo"
"""Where its own container has the clone."""
_CLONE: Final = "berth-repo"
_STATE: Final = "berth-repo-state"


@dataclass(frozen=True)
class Clone:
    """A repository, and where the workspace has it."""

    settings: CloneSettings
    url: str
    place: str
    seconds: int
    """Time for all of it."""
    space: str | int
    """Most that the workspace, its clone included, may use of the node's disk."""


def clone(lease: LeaseParts, config: Config) -> Clone | None:
    """Clone that a lease gets; None where it gets none. Then the condition RepositoryReady says why."""
    repo = lease.instance.spec.repo if lease.instance is not None else None
    if repo is None or config.clone is None:
        return None
    place, problem = place_of(repo, lease.type, config.out_of_reach)
    if problem:
        return None
    space = resources(lease)["limits"][EPHEMERAL_STORAGE]
    return Clone(config.clone, repo.url, place, seconds_of(lease.type), space)


def container(clone: Clone) -> Object:
    """The container, which ends before the workspace starts. It may write the clone, and nothing else."""
    space = {
        "resourceFieldRef": {"containerName": names.WORKSPACE_CONTAINER, "resource": f"limits.{EPHEMERAL_STORAGE}"}
    }
    return {
        "name": names.REPOSITORY_CONTAINER,
        "image": clone.settings.image,
        "imagePullPolicy": clone.settings.pull_policy,
        "command": ["python3", "-m", "berth_ci", "clone"],
        "env": [
            # In a value $(NAME) would be replaced; two dollars are one.
            {"name": "BERTH_REPO_URL", "value": clone.url.replace("$", "$$")},
            {"name": "BERTH_SECONDS", "value": str(clone.seconds)},
            {"name": "BERTH_SPACE", "valueFrom": space},
        ],
        "resources": RESOURCES,
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": _CLONE, "mountPath": PLACE},
            # On disk, as the clone: what it knows of a clone lasts as long as that.
            {"name": _STATE, "mountPath": "/tmp"},  # noqa: S108 (a volume of the container's own)
        ],
    }


def mount(clone: Clone) -> Object:
    """Where the workspace sees the clone."""
    return {"name": _CLONE, "mountPath": clone.place}


def volumes(clone: Clone) -> list[Object]:
    """The clone, which may grow as everything else in the workspace, and what its container notes of it."""
    return [
        {"name": _CLONE, "emptyDir": {"sizeLimit": clone.space}},
        {"name": _STATE, "emptyDir": {"sizeLimit": STATE}},
    ]
