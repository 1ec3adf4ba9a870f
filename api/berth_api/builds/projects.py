"""Projects: repositories whose revisions are built.

A project's name counts in all namespaces, and the oldest project keeps it. New projects lie in the first workspace
namespace, and the object's name follows from the project's: of two concurrent requests for one name, one finds the
object of the other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from berth_api import lookups
from berth_api.auth import access
from berth_api.auth.identity import Identity
from berth_api.http.errors import AwayError, BadRequestError, TakenError
from berth_api.idempotency.making import create
from berth_api.state import State
from berth_core import ids, names
from berth_core.kube import errors as cluster
from berth_core.kube.types import Object
from berth_core.resources import Project, ProjectSpec, manifest

MOST: Final = 100
"""Projects of one user."""


async def listed(state: State, identity: Identity) -> list[Project]:
    """List the caller's projects, live, by name; a superuser's list is everyone's."""
    projects = await lookups.projects(state, access.listed_user(identity))
    return sorted(projects, key=lambda project: project.spec.name)


async def one(state: State, identity: Identity, name: str) -> Project:
    """Read a project of the caller's, live. Raises MissingError."""
    project = await lookups.project(state, name)
    if project is None:
        raise access.project_missing()
    access.need_own_project(identity, project)
    return project


async def register(state: State, identity: Identity, repo_url: str) -> Project:
    """Make a project under an id that is chosen for it. Raises BadRequestError."""
    await _need_room(state, identity)
    name = ids.uuid7_at(await state.now())
    with _refusals():
        body = _manifest(state, identity, name, repo_url)
        return Project.parse(await create(state.client, Project, body))


async def named(state: State, identity: Identity, name: str, repo_url: str) -> Project:
    """Return the caller's project of a name; make it where it is new. Raises TakenError, BadRequestError."""
    for _ in range(2):
        project = await lookups.project(state, name)
        if project is not None:
            return _usable(identity, project, repo_url)
        await _need_room(state, identity)
        try:
            # Without the label of an Idempotency-Key: the request is for the build.
            with _refusals():
                body = _manifest(state, identity, name, repo_url)
                return Project.parse(await state.client.create(Project.api(), body["metadata"]["namespace"], body))
        except cluster.AlreadyExistsError:
            continue  # somebody else made it meanwhile
    raise AwayError("others are making the same project. Try again.")


def _usable(identity: Identity, project: Project, repo_url: str) -> Project:
    if not identity.superuser and identity.user != project.spec.user:
        raise TakenError("project name is taken: choose another `ns`")
    if project.spec.repo_url != repo_url:
        raise TakenError("the project is of another repository: choose another `ns`")
    return project


async def _need_room(state: State, identity: Identity) -> None:
    """Refuse a project beyond the limit. The count is not a lock: concurrent requests may exceed it."""
    if len(await lookups.projects(state, identity.user)) >= MOST:
        raise BadRequestError(f"at most {MOST} projects of one user: have an administrator delete some")


def _manifest(state: State, identity: Identity, name: str, repo_url: str) -> Object:
    spec = ProjectSpec(name=name, user=identity.user, repo_url=repo_url)
    labels = {names.MANAGED_BY_LABEL: names.MANAGED_BY} | identity.labels
    return manifest(Project, state.config.workspace_namespaces[0], names.project_object(name), spec, labels=labels)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except cluster.InvalidError as error:
        raise BadRequestError(error.message) from error
