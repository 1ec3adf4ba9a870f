"""How projects and builds look to clients. Pure."""

from collections.abc import Iterable

from berth_api.builds.service import Seen
from berth_api.http.answers import Shape
from berth_core import builds
from berth_core.builds import ENDED, ENDINGS
from berth_core.kube import conditions
from berth_core.resources import Build, Project


def projects(found: Iterable[Project]) -> Shape:
    """Shape projects, by the names that clients use."""
    return {
        project.spec.name: {"created": project.metadata.creation_timestamp, "repo_url": project.spec.repo_url}
        for project in found
    }


def build(seen: Seen) -> Shape:
    """Shape a build; fields of an attempt are those of the current one."""
    resource, spec = seen.build, seen.build.spec
    shape: Shape = {
        "id": resource.public_id,
        "pid": seen.project.spec.name,
        "status": builds.word(resource).value,
        "created": resource.metadata.creation_timestamp,
        "attempt": spec.attempt,
    }
    status = resource.status if resource.status.attempt == spec.attempt else None
    optional = {
        "branch": spec.branch,
        "commit": (status.commit if status is not None else None) or spec.commit,
        "position": seen.position,
        "instance": seen.instance,
    }
    if status is not None:
        optional |= {
            "started": status.start_time,
            "ended": status.end_time,
            "message": _message(resource),
            "exit_code": status.exit_code,
            "image": status.image,
            "workspace": status.workspace,
        }
        if status.artifacts is not None:
            shape["artifacts"] = {"size": status.artifacts.size, "sha256": status.artifacts.sha256}
    return shape | {name: value for name, value in optional.items() if value is not None}


def _message(resource: Build) -> str | None:
    """Reason of the build's end; before that, of its wait."""
    if resource.status.message is not None or builds.word(resource) in ENDINGS:
        return resource.status.message
    waits = conditions.find(resource.status.conditions, ENDED)
    return (waits.message or None) if waits is not None else None
