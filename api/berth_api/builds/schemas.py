"""Builds."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from berth_api.builds.service import Change, Overview, Revision
from berth_api.http.bodies import LONGEST_URL, Options, said
from berth_core import builds
from berth_core.builds import ENDED, ENDINGS
from berth_core.kube import conditions
from berth_core.resources import Build, Project
from berth_core.resources.build import BuildStatus

PROJECT: Final = "[A-Za-z0-9][A-Za-z0-9_.-]{0,127}"
REPOSITORY: Final = (
    r"(?:https?://|git://|ssh://(?:[A-Za-z0-9_.-]+@)?)"
    r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?"
    r'(?:/[!"$->@-~]*)?'
)
"""A user name is allowed for ssh only, and a query never: either could be a token, which is shown with the project."""
BRANCH: Final = r"[A-Za-z0-9_][A-Za-z0-9_/+@=#-]*(?:\.[A-Za-z0-9_/+@=#-]+)*"
"""Narrower than git-check-ref-format(1): the name goes into a command line, where a leading dash is an option."""
COMMIT: Final = "[0-9a-fA-F]{7,64}"
_STARTING: Final = ("ns", "repo_type", "repo_branch", "repo_commit")
"""Options of which any one turns the request into one for a build."""


def _either(*names: str) -> dict[str, Any]:
    """JSON schema of an object with a text in at least one of some fields."""
    return {"anyOf": [{"required": [name], "properties": {name: {"type": "string"}}} for name in names]}


Repository = Annotated[
    str,
    Field(description="URL of a git repository.", max_length=LONGEST_URL, pattern=f"^{REPOSITORY}$"),
    said("must be the URL of a git repository"),
]
Branch = Annotated[
    str,
    Field(description="Name of a branch.", max_length=255, pattern=f"^{BRANCH}$"),
    said("is no name of a branch"),
]
Commit = Annotated[
    str, Field(description="Hash of a commit.", pattern=f"^{COMMIT}$"), said("must be 7 to 64 hex digits")
]


class ProjectToRegister(Options):
    """A project without a build yet; the server chooses its id."""

    repo_url: Repository
    ns: None = None
    repo_type: None = None
    repo_branch: None = None
    repo_commit: None = None


class ProjectToBuild(Options):
    """A build of a branch, a commit, or both; its project is made where it is new."""

    model_config = ConfigDict(json_schema_extra=_either("repo_branch", "repo_commit"))

    repo_url: Repository
    ns: Annotated[str, said("must be letters, digits, `.`, `_` and `-`, at most 128")] = Field(
        description="Name of the project.", pattern=f"^{PROJECT}$"
    )
    repo_type: Literal["git"]
    repo_branch: Branch | None = None
    repo_commit: Commit | None = None

    @model_validator(mode="after")
    def _need_revision(self) -> Self:
        if self.repo_branch is None and self.repo_commit is None:
            raise ValueError("option `repo_branch` or `repo_commit` is required")
        return self

    @property
    def revision(self) -> Revision:
        """Revision to build."""
        return Revision(self.repo_branch, self.repo_commit)


class ProjectRequest(RootModel[ProjectToRegister | ProjectToBuild]):
    """A project, and its build where one is wanted."""

    @model_validator(mode="before")
    @classmethod
    def _chosen(cls, body: Mapping[str, Any]) -> Options:
        starts = any(body.get(option) is not None for option in _STARTING)
        return (ProjectToBuild if starts else ProjectToRegister).model_validate(body)


class BuildRequest(Options):
    """A build of a project: of a branch, a commit, or both."""

    model_config = ConfigDict(json_schema_extra=_either("branch", "commit"))

    branch: Branch | None = None
    commit: Commit | None = None

    @model_validator(mode="after")
    def _need_revision(self) -> Self:
        if self.branch is None and self.commit is None:
            raise ValueError("option `branch` or `commit` is required")
        return self

    @property
    def revision(self) -> Revision:
        """Revision to build."""
        return Revision(self.branch, self.commit)


class BuildChange(Options):
    """A change of a build."""

    do: Change


class ProjectSummary(BaseModel):
    """A project in lists."""

    created: str
    repo_url: str


class Projects(RootModel[dict[str, ProjectSummary]]):
    """Projects by id."""

    @classmethod
    def of(cls, projects: Iterable[Project]) -> Self:
        """Show projects, by the names that clients use."""
        return cls(
            {
                project.spec.name: ProjectSummary(
                    created=project.metadata.creation_timestamp, repo_url=project.spec.repo_url
                )
                for project in projects
            }
        )


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
    created: str
    attempt: int = Field(description="From 1.")
    artifacts: Artifacts | None = Field(None, description="Where it left something behind.")
    branch: str | None = None
    commit: str | None = Field(None, description="As it was asked for; in full once it was found.")
    position: int | None = Field(None, description="Place among those that wait, from 1.")
    instance: str | None = Field(None, description="Id of the instance that it has or had.")
    started: str | None = None
    ended: str | None = None
    message: str | None = Field(None, description="Why it ended, or what it waits for.")
    exit_code: int | None = Field(None, description="Exit code of the script.")
    image: str | None = Field(None, description="Image that the script runs in.")
    workspace: str | None = Field(None, description="Type of the machine that it wants.")

    @classmethod
    def of(cls, overview: Overview) -> Self:
        """Show a build; fields of an attempt are those of the current one."""
        resource, spec = overview.build, overview.build.spec
        current = resource.status.attempt == spec.attempt
        status = resource.status if current else BuildStatus()
        artifacts = status.artifacts
        return cls(
            id=resource.public_id,
            pid=overview.project.spec.name,
            status=builds.word(resource).value,
            created=resource.metadata.creation_timestamp,
            attempt=spec.attempt,
            artifacts=Artifacts(size=artifacts.size, sha256=artifacts.sha256) if artifacts is not None else None,
            branch=spec.branch,
            commit=status.commit or spec.commit,
            position=overview.position,
            instance=overview.instance,
            started=status.start_time,
            ended=status.end_time,
            message=_message(resource) if current else None,
            exit_code=status.exit_code,
            image=status.image,
            workspace=status.workspace,
        )


def _message(resource: Build) -> str | None:
    """Reason of the build's end; before that, of its wait."""
    if resource.status.message is not None or builds.word(resource) in ENDINGS:
        return resource.status.message
    waits = conditions.find(resource.status.conditions, ENDED)
    return (waits.message or None) if waits is not None else None


class Builds(BaseModel):
    """A page of builds, the newest first."""

    jobs: list[BuildDetail]
    page_count: int
