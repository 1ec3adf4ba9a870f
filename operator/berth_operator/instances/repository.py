"""Whether the repository that a holder asked for is in the workspace, and why not (ADR 0020). Pure."""

from collections.abc import Sequence
from typing import Final

import orjson

from berth_core import names, repositories, state
from berth_core.firewall import Network, parse_source
from berth_core.kube.conditions import find
from berth_core.kube.containers import Container
from berth_core.resources import WorkspaceType
from berth_core.resources.instance import Repo
from berth_operator.instances.observed import STARTING, ObservedInstance
from berth_operator.pods.view import ORDINARY

MOST_SECONDS: Final = 60
"""For a clone. The workspace waits for it, so a type with a shorter start leaves it half of that."""
CLONING: Final = ("Cloning", "the repository is being cloned")
FAILED: Final = "CloneFailed"
SILENT: Final = (
    "the clone reported no outcome: clone inside, or ask for the log of the pod's container"
    f" {names.REPOSITORY_CONTAINER}"
)
Shown = tuple[bool, str, str]


def place_of(repo: Repo, type_: WorkspaceType, out_of_reach: Sequence[Network]) -> tuple[str, str]:
    """Where in a workspace of a type the clone goes, or, second, why it cannot.

    A host that is an address is judged before anything connects to it; a name by the NetworkPolicy and the ruleset.
    """
    try:
        place = repositories.place(repo.url, repo.path)
    except ValueError as error:
        return "", f"{error}; it was not cloned"
    address = repositories.address(repo.url)
    if address is not None and not type_.spec.network.reached(out_of_reach).reaches(parse_source(str(address))):
        return "", f"workspaces of this type do not connect to {address}; it was not cloned"
    volume = repositories.obstacle(place, [volume.mount_path for volume in type_.spec.template.volumes])
    return ("", f"{repositories.taken(place, volume)}; it was not cloned") if volume else (place, "")


def seconds_of(type_: WorkspaceType) -> int:
    """Time that a clone may take in a type's start, so that it never costs the lease."""
    return min(MOST_SECONDS, type_.spec.limits.start_timeout // 2)


def cloned(seen: ObservedInstance) -> Shown:
    """Outcome of the clone in the present pod, for the condition."""
    instance, pod = seen.instance, seen.pod
    if pod is None:
        return (False, *STARTING)
    if pod.repository is None:
        return (False, *_not_tried(seen))
    if pod.repository.state != "terminated":
        return (False, *_on_its_way(pod.repository))
    outcome = _report(pod.repository.message)
    if outcome is None:
        # A kubelet that has forgotten the container has forgotten its words.
        former = find(instance.status.conditions, state.REPOSITORY_READY)
        if former is not None and instance.status.pod_uid == pod.uid:
            return (former.status == "True", former.reason, former.message)
        return (False, FAILED, SILENT)
    return outcome


def _not_tried(seen: ObservedInstance) -> tuple[str, str]:
    repo = seen.instance.spec.repo
    problem = place_of(repo, seen.type, seen.out_of_reach)[1] if repo is not None and seen.type is not None else ""
    if problem:
        return ("Unfit", problem)
    return ("NotOffered", "no repository is cloned here: the operator has no image for it (BERTH_CLONE_IMAGE)")


def _on_its_way(container: Container) -> tuple[str, str]:
    if container.state == "running":
        return CLONING
    if container.reason in ORDINARY:
        return STARTING
    return (container.reason, container.message or "the container that clones it does not run")


def _report(message: str) -> Shown | None:
    """Read the termination message; None where it says nothing."""
    try:
        report = orjson.loads(message)
    except ValueError:
        return None
    if not isinstance(report, dict):
        return None
    if error := report.get("error"):
        return (False, FAILED, f"{error}: {report.get('message', '')}")
    commit = report.get("commit")
    if commit is None:
        return None
    return (True, "Cloned", f"commit {commit} is checked out" if commit else "its default branch has no commit")
