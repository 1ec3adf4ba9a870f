"""Builds of a project: start, show, restart, cancel. The operator runs them.

A build belongs to its project's user, whoever asks for it. The quotas and access rules of that user decide which
machine it gets, so a superuser who starts it does not lend their rights.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from berth_api import lookups
from berth_api.auth import access
from berth_api.auth.identity import Identity
from berth_api.builds import projects
from berth_api.builds.view import BuildView
from berth_api.cache import listing
from berth_api.cache.listing import Page
from berth_api.http.errors import BadRequestError
from berth_api.idempotency.making import create
from berth_api.state import State
from berth_core import builds, ids, names
from berth_core.builds import ENDINGS
from berth_core.kube import errors as cluster
from berth_core.kube.model import parse_time
from berth_core.kube.swap import swap
from berth_core.kube.types import Object
from berth_core.names import API_VERSION
from berth_core.resources import Build, BuildSpec, Project, manifest

MOST_WAITING: Final = 100
"""Builds of one user that wait for their turn."""
MOST_LISTED: Final = 100


Change = Literal["restart", "cancel"]


@dataclass(frozen=True)
class Revision:
    """Revision to build: the head of a branch, or a commit, or a commit of a branch."""

    branch: str | None
    commit: str | None


@dataclass(frozen=True)
class Overview:
    """A build; ``position`` counts from 1 while it waits, ``instance`` is the public id of its machine."""

    build: Build
    project: Project
    position: int | None = None
    instance: str | None = None


async def listed(state: State, identity: Identity, project_name: str, query: Mapping[str, str]) -> Page[Overview]:
    """List the builds of a project, live, the newest first. Raises MissingError."""
    project = await projects.one(state, identity, project_name)
    all_builds = sorted(await lookups.builds_of(state, project), key=_age, reverse=True)
    size = min(listing.natural(query.get("max_per_page")) or MOST_LISTED, MOST_LISTED)
    page = listing.paged(all_builds, {**query, "max_per_page": str(size)})
    places = _places(state, page.items)
    return Page([_overview(state, project, build, places) for build in page.items], page.count)


async def one(state: State, identity: Identity, project_name: str, build_id: str) -> Overview:
    """Read a build, live. Raises MissingError."""
    project = await projects.one(state, identity, project_name)
    build = await lookups.build_of(state, project, build_id)
    if build is None:
        raise access.build_missing()
    return _overview(state, project, build, _places(state, [build]))


async def start(state: State, project: Project, identity: Identity, revision: Revision) -> str:
    """Make a build and return its id. Raises BadRequestError."""
    access.need_builder(identity)
    # The count is not a lock: concurrent requests may exceed it.
    if sum(build.spec.user == project.spec.user for build in state.part(BuildView).waiting()) >= MOST_WAITING:
        raise BadRequestError(f"at most {MOST_WAITING} builds of one user may wait: cancel some first")
    metadata = project.metadata
    spec = BuildSpec(project=metadata.name, user=project.spec.user, branch=revision.branch, commit=revision.commit)
    build_id = ids.uuid7_at(await state.now())
    labels = {names.MANAGED_BY_LABEL: names.MANAGED_BY} | identity.labels
    body = manifest(Build, metadata.namespace, build_id, spec, labels=labels, ownerReferences=[_owner(project)])
    try:
        await create(state.client, Build, body)
    except cluster.InvalidError as error:
        raise BadRequestError(error.message) from error
    return build_id


async def change(state: State, identity: Identity, project: str, build_id: str, action: Change) -> None:
    """Restart a build, or cancel it. Raises MissingError, BadRequestError."""
    if action == "restart":
        access.need_builder(identity)

    async def attempt() -> None:
        build = (await one(state, identity, project, build_id)).build
        metadata = build.metadata
        body = {
            "metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version},
            "spec": _change_of(build, action),
        }
        try:
            await state.client.patch(Build.api(), metadata.namespace, metadata.name, body)
        except cluster.NotFoundError as error:
            raise access.build_missing() from error

    await swap(attempt, f"build {build_id}")


def _change_of(build: Build, action: Change) -> Object:
    if action == "restart":
        if not builds.has_ended(build):
            raise BadRequestError("build has not ended")
        return {"attempt": build.spec.attempt + 1}
    word = builds.word(build)
    if word in ENDINGS:
        raise BadRequestError(f"build is {word}")
    return {"cancel": build.spec.attempt}


def _owner(project: Project) -> Object:
    """Owner reference by which builds are deleted with their project, which does not wait for them."""
    metadata = project.metadata
    return {"apiVersion": API_VERSION, "kind": Project.KIND, "name": metadata.name, "uid": metadata.uid}


def _places(state: State, live: Iterable[Build]) -> dict[tuple[str, str], int]:
    """Places of all waiting builds, from the watch; ``live`` ones as they were read."""
    waiting = {_key(build): build for build in (*state.part(BuildView).waiting(), *live)}
    return builds.positions(waiting.values())


def _overview(state: State, project: Project, build: Build, places: Mapping[tuple[str, str], int]) -> Overview:
    instance = None
    if build.status.attempt == build.spec.attempt and build.status.instance is not None:
        ending = state.caches.endings.get(build.metadata.namespace, build.status.instance)
        instance = ending.instance if ending is not None else None
    return Overview(build, project, places.get(_key(build)), instance)


def _key(build: Build) -> tuple[str, str]:
    return build.metadata.namespace, build.metadata.name


def _age(build: Build) -> tuple[float, str]:
    # Names of builds that the API makes grow within a second, too.
    return parse_time(build.metadata.creation_timestamp).timestamp(), build.metadata.name
