"""Project: a git repository whose revisions are built."""

from typing import ClassVar, Literal

from pydantic import Field

from berth_core import repositories
from berth_core.kube.model import Model, Name
from berth_core.resources.base import Column, Resource, Rule


class Credentials(Model):
    """Credentials for cloning a repository that is not public."""

    secret: Name = Field(
        description="Secret in the Project's namespace, of the type kubernetes.io/basic-auth (`username`,"
        " `password`: a token) for https, or kubernetes.io/ssh-auth (`ssh-privatekey`, and `known_hosts`) for ssh."
    )


class CommitStatus(Model):
    """Receiver of results, which Berth posts as the status of a commit."""

    url: str = Field(
        alias="statusURL",
        description="http(s) URL that statuses are posted to, without user, password or query; `{sha}` in it stands"
        " for the commit.",
        max_length=2048,
        pattern=r"^https?://",
    )
    provider: Literal["github", "gitlab", "gitea"] = Field(
        description="Kind of receiver, which decides the form of the requests."
    )
    secret: Name | None = Field(
        None,
        description="Secret with the receiver's token under the key `token`, in the release's namespace: one of the"
        " Secrets that the chart's value `ci.statusSecrets` lists. Needs the verb `tell` on secrets of that name"
        " in the Project's namespace. Absent: no token is sent.",
    )


class ProjectSpec(Model):
    """The repository to build and its owner."""

    name: str = Field(
        description="Name of the project in the HTTP API. Of several Projects with one name, the oldest keeps it."
        " Never changed.",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        max_length=128,
    )
    user: str = Field(
        description="Owner of the project. Naming another user than oneself needs the verb `actfor` on instances."
        " Never changed.",
        min_length=1,
        max_length=253,
    )
    repo_url: str = Field(
        alias="repoURL",
        description="URL of the repository: https, http, ssh or git; without a password, which belongs into"
        " `credentials`. Never changed.",
        max_length=2048,
        pattern=r"^(https?|git|ssh)://([^/:@\s]+@)?[^/@\s]+(/\S*)?$",
    )
    credentials: Credentials | None = Field(
        None, description="Credentials for cloning the repository; absent for a public one."
    )
    commit_status: CommitStatus | None = Field(None, description="Receiver of the results of builds; absent for none.")


class Project(Resource):
    """A git repository whose revisions are built."""

    KIND: ClassVar[str] = "Project"
    PLURAL: ClassVar[str] = "projects"
    SHORT: ClassVar[str] = "proj"
    SELECTABLE: ClassVar[tuple[str, ...]] = (".spec.name", ".spec.user")
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="Project", json_path=".spec.name", description="Name in the HTTP API"),
        Column(name="User", json_path=".spec.user", description="Owner of the project"),
        Column(name="Repository", json_path=".spec.repoURL", description="URL of the repository"),
        Column(name="Age", type="date", json_path=".metadata.creationTimestamp", description="When it was made"),
    )
    RULES: ClassVar[tuple[Rule, ...]] = (
        *(
            Rule(
                at="spec",
                rule=f"self.{field} == oldSelf.{field}",
                message=f"spec.{field} cannot be changed: make another Project",
            )
            for field in ("name", "user", "repoURL")
        ),
        # Rules and not patterns of the fields: Projects that were made before them stay readable.
        Rule(
            at="spec.repoURL",
            rule=f"self.matches(r'{repositories.PROJECT_URL}')",
            message=f"spec.repoURL {repositories.PROJECT_URL_WANTED}",
        ),
        Rule(
            at="spec.commitStatus.statusURL",
            rule=f"self.matches(r'{repositories.STATUS_URL}')",
            message=f"spec.commitStatus.statusURL {repositories.STATUS_URL_WANTED}",
        ),
    )

    spec: ProjectSpec
