"""Builds."""

from typing import Literal

from pydantic import BaseModel, Field, RootModel


class ProjectRequest(BaseModel):
    """A project, and the build of it that is wanted; with `repo_url` alone the project is only registered."""

    repo_url: str = Field(description="URL of a git repository.")
    ns: str | None = Field(None, description="Name of the project; needed for a build.")
    repo_type: Literal["git"] | None = Field(None, description="Needed for a build.")
    repo_branch: str | None = Field(None, description="Branch to build; this, `repo_commit`, or both.")
    repo_commit: str | None = Field(None, description="Commit to build, in hex digits.")


class BuildRequest(BaseModel):
    """A build of a project: of a branch, a commit, or both."""

    branch: str | None = None
    commit: str | None = Field(None, description="In hex digits.")


class BuildChange(BaseModel):
    """What is to become of a build."""

    do: Literal["restart"]


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
