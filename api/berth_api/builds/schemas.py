"""Builds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from berth_api.http.bodies import LONGEST_URL, Options, said

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

Change = Literal["restart", "cancel"]


@dataclass(frozen=True)
class Revision:
    """Revision to build: the head of a branch, or a commit, or a commit of a branch."""

    branch: str | None
    commit: str | None


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
