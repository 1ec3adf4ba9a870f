"""Builds: /ci. Tokens and bodies are checked; nothing is built yet."""

from typing import Annotated, Any, ClassVar, Final

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel
from starlette.convertors import Convertor, register_url_convertor

from berth_api.answers import JSON
from berth_api.auth import access
from berth_api.auth.access import Scope
from berth_api.auth.identity import Identity
from berth_api.builds import PROJECT, need_restart, wanted_build, wanted_project
from berth_api.errors import ApiError, MissingError
from berth_api.routes.common import BEARER, Body, User, json_body, refusals
from berth_api.schemas.ci import BuildChange, BuildRequest, ProjectRequest, Projects, Started
from berth_api.schemas.common import Refusal

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


class NotServedError(ApiError):
    """501: part of the API, but not there yet."""

    status: ClassVar[int] = 501


register_url_convertor("project", ProjectConvertor())

UNKNOWN: Final = "project not found"
NOT_SERVED: Final = "CI builds are not served yet"
JOBS: Final = "/ci/project/{project_id:project}/job"
JOB: Final = JOBS + "/{job_id:project}"
NEVER_FOUND: Final[dict[str, Any]] = {
    "status_code": 404,
    "response_model": Refusal,
    "response_description": UNKNOWN,
}
"""For the OpenAPI document: no project is there to be found."""


async def get_reader(user: User) -> Identity:
    """Return who asks. Raises BadRequestError for a token that works for one instance only."""
    access.need_unconstrained(user)
    return user


async def get_writer(user: User) -> Identity:
    """Return who wants to change something. Raises BadRequestError for tokens that may not."""
    access.need_unconstrained(user)
    access.need_write(user, Scope.CHANGE)
    return user


async def get_project(project_id: Annotated[str, Path(description="Id of a project.")]) -> str:
    """Return the id of a project."""
    return project_id


async def get_job(job_id: Annotated[str, Path(description="Id of a build.")]) -> str:
    """Return the id of a build."""
    return job_id


def _needed(model: type[BaseModel]) -> dict[str, Any]:
    described = json_body(model)
    described["requestBody"]["required"] = True
    return described


READER: Final = Depends(get_reader)
WRITER: Final = Depends(get_writer)
PROJECT_ID: Final = Depends(get_project)
JOB_ID: Final = Depends(get_job)


@router.get("/ci/projects", summary="The caller's projects", response_model=Projects, dependencies=[READER])
async def projects() -> JSON:
    """List the projects."""
    return JSON({})


@router.post(
    "/ci/new",
    summary="Start a build, or register a project",
    response_model=Started,
    responses=refusals(_400="A value is wrong, or the token does not permit it.", _501=NOT_SERVED),
    dependencies=[WRITER],
    openapi_extra=_needed(ProjectRequest),
)
async def new(body: Body) -> JSON:
    """Start a build of a project; with `repo_url` alone only register the project."""
    wanted_project(body)
    raise NotServedError(NOT_SERVED)


@router.post(
    JOBS,
    summary="Start a build of a project",
    responses=refusals(_400="A value is wrong, or the token does not permit it."),
    **NEVER_FOUND,
    dependencies=[WRITER, PROJECT_ID],
    openapi_extra=_needed(BuildRequest),
)
async def new_job(body: Body) -> JSON:
    """Start a build of a branch or commit."""
    wanted_build(body)
    raise MissingError(UNKNOWN)


@router.get(JOB, summary="One build", dependencies=[READER, PROJECT_ID, JOB_ID], **NEVER_FOUND)
async def job() -> JSON:
    """Show a build."""
    raise MissingError(UNKNOWN)


@router.post(
    JOB,
    summary="Restart a build",
    responses=refusals(_400="A value is wrong, or the token does not permit it."),
    **NEVER_FOUND,
    dependencies=[WRITER, PROJECT_ID, JOB_ID],
    openapi_extra=_needed(BuildChange),
)
async def change_job(body: Body) -> JSON:
    """Restart a build."""
    need_restart(body)
    raise MissingError(UNKNOWN)


@router.get(JOB + "/log", summary="Log of a build", dependencies=[READER, PROJECT_ID, JOB_ID], **NEVER_FOUND)
async def log() -> JSON:
    """Show what a build printed."""
    raise MissingError(UNKNOWN)
