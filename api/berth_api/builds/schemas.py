"""Builds."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from berth_api.builds import options
from berth_api.http.options import LONGEST_URL


def _whole(pattern: str) -> str:
    return f"^{pattern}$"


def _either(*names: str) -> dict[str, Any]:
    """JSON schema of an object with a text in at least one of some fields."""
    return {"anyOf": [{"required": [name], "properties": {name: {"type": "string"}}} for name in names]}


Repository = Annotated[
    str, Field(description="URL of a git repository.", max_length=LONGEST_URL, pattern=_whole(options.REPOSITORY))
]
Branch = Annotated[
    str, Field(description="Name of a branch.", max_length=options.LONGEST_BRANCH, pattern=_whole(options.BRANCH))
]
Commit = Annotated[str, Field(description="Hash of a commit.", pattern=_whole(options.COMMIT))]


class ProjectToRegister(BaseModel):
    """A project without a build yet; the server chooses its id."""

    repo_url: Repository
    ns: None = None
    repo_type: None = None
    repo_branch: None = None
    repo_commit: None = None


class ProjectToBuild(BaseModel):
    """A build of a branch, a commit, or both; its project is made where it is new."""

    model_config = ConfigDict(json_schema_extra=_either("repo_branch", "repo_commit"))

    repo_url: Repository
    ns: str = Field(description="Name of the project.", pattern=_whole(options.PROJECT))
    repo_type: Literal["git"]
    repo_branch: Branch | None = None
    repo_commit: Commit | None = None


class ProjectRequest(RootModel[ProjectToRegister | ProjectToBuild]):
    """A project, and its build where one is wanted."""


class BuildRequest(BaseModel):
    """A build of a project: of a branch, a commit, or both."""

    model_config = ConfigDict(json_schema_extra=_either("branch", "commit"))

    branch: Branch | None = None
    commit: Commit | None = None


class BuildChange(BaseModel):
    """A change of a build."""

    do: Literal["restart", "cancel"]


class ProjectSummary(BaseModel):
    """A project in lists."""

    created: str
    repo_url: str


class Projects(RootModel[dict[str, ProjectSummary]]):
    """Projects by id."""


class Started(BaseModel):
    """A project, and its build where one was asked for."""

    pid: str = Field(description="Id of the project.")
    jid: str | None = Field(None, description="Id of the build.")


class Asked(BaseModel):
    """A build that was asked for."""

    jid: str = Field(description="Id of the build.")
    pid: str = Field(description="Id of its project.")


class Artifacts(BaseModel):
    """Files that a build left behind."""

    size: int = Field(description="Bytes.")
    sha256: str = Field(description="In hex.")


class BuildDetail(BaseModel):
    """A build: its latest attempt."""

    id: str
    pid: str = Field(description="Id of its project.")
    status: Literal["queued", "running", "passed", "failed", "errored", "canceled"]
    branch: str | None = None
    commit: str | None = Field(None, description="As it was asked for; in full once it was found.")
    created: str
    started: str | None = None
    ended: str | None = None
    attempt: int = Field(description="From 1.")
    message: str | None = Field(None, description="Why it ended, or what it waits for.")
    exit_code: int | None = Field(None, description="What the script ended with.")
    position: int | None = Field(None, description="Place among those that wait, from 1.")
    image: str | None = Field(None, description="Image that the script runs in.")
    workspace: str | None = Field(None, description="Type of the machine that it wants.")
    instance: str | None = Field(None, description="Id of the instance that it has or had.")
    artifacts: Artifacts | None = Field(None, description="Where it left something behind.")


class Builds(BaseModel):
    """A page of builds, the newest first."""

    jobs: list[BuildDetail]
    page_count: int
