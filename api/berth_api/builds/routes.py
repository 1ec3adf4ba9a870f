"""Builds: /ci."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

from berth_api.auth import access
from berth_api.auth.access import Scope
from berth_api.auth.identity import Identity
from berth_api.builds import artifacts as ci_artifacts
from berth_api.builds import following, logs, service
from berth_api.builds import projects as ci_projects
from berth_api.builds.followers import Followers, Readers
from berth_api.builds.schemas import (
    PROJECT,
    Asked,
    BuildChange,
    BuildDetail,
    BuildRequest,
    Builds,
    ProjectRequest,
    Projects,
    ProjectToRegister,
    Started,
)
from berth_api.cache import listing
from berth_api.dependencies import BEARER, Query, SharedState, User
from berth_api.http.answers import Empty
from berth_api.http.bodies import bound
from berth_api.http.errors import AwayError, WrongTokenError
from berth_api.http.negotiation import BODILESS
from berth_api.http.protocol import ENDING
from berth_api.http.requests import query_parameters, refusals
from berth_api.http.streaming import Streamed, begun
from berth_api.state import State
from berth_core.resources import Build

router = APIRouter(tags=["ci"], dependencies=BEARER)


class ProjectConvertor(Convertor[str]):
    """Id of a project or build in a path."""

    regex = PROJECT

    def convert(self, value: str) -> str:
        """Return the id."""
        return value

    def to_string(self, value: str) -> str:
        """Return the id."""
        return value


register_url_convertor("project", ProjectConvertor())

JOBS: Final = "/ci/project/{project_id:project}/job"
JOB: Final = JOBS + "/{job_id:project}"
NO_PROJECT: Final = "project not found: none of the caller's."
UNKNOWN: Final = "project not found, or build not found: none of the caller's."
WRONG: Final = "A value is wrong, or the token does not permit it."
TEXT: Final = "text/plain; charset=utf-8"
EVENTS: Final = "text/event-stream"
GZIP: Final = "application/gzip"
WORDS: Final = {"schema": {"type": "string"}}
BYTES: Final = {"schema": {"type": "string", "format": "binary"}}
UNBUFFERED: Final = {"X-Accel-Buffering": "no"}
"""For proxies that would buffer slow answers."""
PAGES: Final = query_parameters(max_per_page="Most builds on a page, at most 100.", page="Which page, from 1.")
FOLLOWING: Final[dict[str, Any]] = {
    "parameters": [
        *query_parameters(follow="Go on with each line as it is printed, as server-sent events.")["parameters"],
        {
            "name": "Last-Event-ID",
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": "With `follow`: number of the last line that the client has; the lines after it follow.",
        },
    ]
}


async def get_reader(user: User) -> Identity:
    """Return the caller. Raises BadRequestError for a token that works for one instance only."""
    access.need_unconstrained(user)
    return user


async def get_writer(user: User) -> Identity:
    """Return the caller of a change. Raises BadRequestError for tokens that may not change anything."""
    access.need_unconstrained(user)
    access.need_write(user, Scope.CHANGE)
    return user


Reader = Annotated[Identity, Depends(get_reader)]
Writer = Annotated[Identity, Depends(get_writer)]
ProjectId = Annotated[str, Path(description="Id of a project.")]
JobId = Annotated[str, Path(description="Id of a build.")]


@router.get("/ci/projects", summary="The caller's projects")
async def projects(state: SharedState, reader: Reader) -> Projects:
    """List the projects; a superuser sees everyone's."""
    return Projects.of(await ci_projects.listed(state, reader))


@router.post(
    "/ci/new",
    summary="Start a build, or register a project",
    response_model_exclude_none=True,
    responses=refusals(_400=WRONG, _409="The name is another user's project, or of another repository."),
)
async def new(state: SharedState, writer: Writer, options: Annotated[ProjectRequest, bound(ProjectRequest)]) -> Started:
    """Start a build of a project, which is made where it is new; with `repo_url` alone only register the project."""
    request = options.root
    if isinstance(request, ProjectToRegister):
        registered = await ci_projects.register(state, writer, request.repo_url)
        return Started(pid=registered.spec.name)
    access.need_builder(writer)
    project = await ci_projects.named(state, writer, request.ns, request.repo_url)
    return Started(pid=request.ns, jid=await service.start(state, project, writer, request.revision))


@router.get(
    JOBS,
    summary="Builds of a project",
    response_model_exclude_none=True,
    responses=refusals(_404=NO_PROJECT),
    openapi_extra=PAGES,
)
async def jobs(state: SharedState, reader: Reader, query: Query, project_id: ProjectId) -> Builds:
    """List the builds of a project, the newest first."""
    page = await service.listed(state, reader, project_id, query)
    return Builds(jobs=[BuildDetail.of(overview) for overview in page.items], page_count=page.count)


@router.post(
    JOBS,
    summary="Start a build of a project",
    responses=refusals(_400=WRONG, _404=NO_PROJECT),
)
async def new_job(
    state: SharedState,
    writer: Writer,
    options: Annotated[BuildRequest, bound(BuildRequest)],
    project_id: ProjectId,
) -> Asked:
    """Start a build of a branch, a commit, or a commit that must be on a branch."""
    project = await ci_projects.one(state, writer, project_id)
    return Asked(jid=await service.start(state, project, writer, options.revision), pid=project_id)


@router.get(JOB, summary="One build", response_model_exclude_none=True, responses=refusals(_404=UNKNOWN))
async def job(state: SharedState, reader: Reader, project_id: ProjectId, job_id: JobId) -> BuildDetail:
    """Show a build."""
    return BuildDetail.of(await service.one(state, reader, project_id, job_id))


@router.post(
    JOB,
    summary="Restart or cancel a build",
    responses=refusals(
        _400="A value is wrong, the token does not permit it, or the build has not ended, or has.", _404=UNKNOWN
    ),
    response_class=Empty,
)
async def change_job(
    state: SharedState,
    writer: Writer,
    options: Annotated[BuildChange, bound(BuildChange)],
    project_id: ProjectId,
    job_id: JobId,
) -> Empty:
    """Run a build that has ended again, under the same id; or give up one that has not."""
    await service.change(state, writer, project_id, job_id, options.do)
    return Empty()


@router.get(
    JOB + "/log",
    summary="Log of a build",
    responses=refusals(_404=UNKNOWN, _429="Too many requests in this window, or too many logs and artifacts are read.")
    | {200: {"description": "Output so far.", "content": {TEXT: WORDS, EVENTS: WORDS}}},
    response_class=Response,
    openapi_extra=FOLLOWING,
)
async def log(
    request: Request, state: SharedState, reader: Reader, query: Query, project_id: ProjectId, job_id: JobId
) -> Response:
    """Show the output of a build so far; with `follow` also further output, until the build has ended."""
    build = (await service.one(state, reader, project_id, job_id)).build
    if not listing.flag(query, "follow"):
        return Streamed(await _counted(state.part(Readers), reader, logs.text(state, build)), TEXT, {})
    if getattr(request.state, BODILESS, False):
        return Response(media_type=EVENTS, headers=UNBUFFERED)
    events = await _counted(state.part(Followers), reader, _followed(request, state, reader, build))
    return Streamed(events, EVENTS, UNBUFFERED, longest=None)


@router.get(
    JOB + "/artifacts",
    summary="Artifacts of a build",
    responses=refusals(
        _404="No such build, or it left nothing behind.",
        _429="Too many requests in this window, or too many logs and artifacts are read.",
    )
    | {200: {"description": "A tarball, gzip.", "content": {GZIP: BYTES}}},
    response_class=Response,
)
async def artifacts(state: SharedState, reader: Reader, project_id: ProjectId, job_id: JobId) -> Response:
    """Get the files that `.berth.yml` names under `artifacts`."""
    build = (await service.one(state, reader, project_id, job_id)).build
    pieces = await _counted(state.part(Readers), reader, ci_artifacts.pieces(state, build))
    headers = {
        "Content-Disposition": f'attachment; filename="{job_id}-{build.spec.attempt}.tar.gz"',
        "Content-Length": str(build.status.artifacts.size if build.status.artifacts else 0),
    }
    return Streamed(pieces, GZIP, headers)


async def _counted(
    among: Followers, reader: Identity, pieces: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    """Wait for the first piece, and count the reader until the last one. Raises TooManyFollowersError."""

    async def counted() -> AsyncGenerator[bytes, None]:
        async with aclosing(pieces):
            with among.one(reader.user):
                async for piece in pieces:
                    yield piece

    return await begun(counted())


async def _followed(request: Request, state: State, reader: Identity, build: Build) -> AsyncGenerator[bytes, None]:
    ending = asyncio.Event()
    request.scope["state"][ENDING] = ending
    after = listing.natural(request.headers.get("last-event-id")) or 0
    events = following.events(state, build, after, lambda: _still_counts(state, reader), ending)
    async with aclosing(events):
        async for event in events:
            yield event


def _still_counts(state: State, identity: Identity) -> bool:
    """Whether the token of a long request still counts."""
    try:
        state.revocations.need_valid(identity, time.monotonic())
    except (WrongTokenError, AwayError):
        return False
    return time.time() < identity.expires
