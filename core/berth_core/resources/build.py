"""Build: one revision of a project, tested on a machine."""

from typing import Annotated, ClassVar, Final, Literal, TypeAlias

from pydantic import Field

from berth_core import ids
from berth_core.kube.conditions import Condition
from berth_core.kube.model import Model, Name, Time
from berth_core.resources.base import NONCE, QUEUED_RULE, Column, Queued, Resource, Rule

Place: TypeAlias = Literal["Cluster", "Archive"]
"""Store of a build's log and artifacts: ConfigMaps beside it, or the archive (``berth_core.archive.storage``)."""
IN_ARCHIVE: Final[Place] = "Archive"

Attempts = Annotated[int, Field(json_schema_extra={"maximum": 100_000})]
"""Number of an attempt. Names of the attempt's objects contain it, and names of Jobs have at most 63 characters."""


class BuildSpec(Model):
    """The revision to build. Only `attempt` and `cancel` change, and they only grow."""

    project: Name = Field(description="Name (metadata.name) of the Project in the same namespace.")
    user: str = Field(
        description="User who asked for the build and holds its machine. Naming another user than oneself needs the"
        " verb `actfor` on instances.",
        min_length=1,
        max_length=253,
    )
    branch: str | None = Field(
        None, description="Branch whose head is built, or which must contain `commit`.", min_length=1, max_length=255
    )
    commit: str | None = Field(
        None, description="Hash of the commit to build, or at least its first 7 digits.", pattern=r"^[0-9a-fA-F]{7,64}$"
    )
    priority: int = Field(
        0,
        description="Builds with a higher priority go first. Other than 0 needs the verb `prioritize` on builds.",
        ge=-1000,
        le=1000,
    )
    attempt: Attempts = Field(
        1, description="Number of the attempt that is wanted. Raising it by one runs the build again.", ge=1
    )
    cancel: Attempts | None = Field(
        None, description="Number of the latest canceled attempt. Setting it to `attempt` cancels the build.", ge=1
    )


class Artifacts(Model):
    """Files that a build's script left, packed as a tarball."""

    size: int = Field(description="Size of the tarball (gzip) in bytes.", ge=0)
    sha256: str = Field(description="SHA-256 of the tarball, in hex.", pattern=r"^[0-9a-f]{64}$")
    config_maps: list[Name] = Field(
        description="Names of the tarball's parts, in order, in the store that `keptIn` names; empty once they were"
        " deleted.",
        max_length=64,
    )


class BuildStatus(Model):
    """Observed state of the build.

    All fields but `id` and `queued` belong to the attempt that `attempt` names; the next attempt clears them.
    """

    id: str | None = Field(None, description="Public id: the id in the HTTP API. Set once.", max_length=253)
    queued: Queued | None = Field(
        None, description="Place in the queue. Set with the first write of the status; it can only move back."
    )
    attempt: int | None = Field(
        None, description="Number of the attempt that the other fields describe. Never shrinks.", ge=1
    )
    commit: str | None = Field(
        None,
        description="Full hash of the commit that is built. Set once the commit was found.",
        pattern=r"^[0-9a-f]{40,64}$",
    )
    image: str | None = Field(None, description="Image that the script runs in, from .berth.yml.", max_length=512)
    workspace: str | None = Field(
        None, description="typeName of the machine that the build needs, from .berth.yml.", max_length=128
    )
    timeout: int | None = Field(None, description="Seconds that the script may run, from .berth.yml.", ge=1)
    instance: Name | None = Field(None, description="Name of the Instance that has or had the machine for the build.")
    instance_uid: str | None = Field(
        None,
        description="metadata.uid of that Instance; another Instance of its name does not count. Set with"
        " `instance`, replaced when the Instance was made again.",
        max_length=64,
    )
    nonce: str | None = Field(
        None,
        description="Part of the name of the Secret without which the script does not start, so that no late write"
        " can start it again. Set once, before the script's Job is made.",
        pattern=NONCE,
        max_length=16,
    )
    start_time: Time | None = Field(None, description="When the build stopped waiting for its turn.")
    end_time: Time | None = Field(
        None, description="When the build had ended and its machine was asked back. Set once."
    )
    exit_code: int | None = Field(None, description="Exit code of the script.", ge=0)
    reason: str | None = Field(None, description="Why the build ended, as a CamelCase word. Set once.", max_length=128)
    message: str | None = Field(None, description="The reason in a sentence.", max_length=4096)
    log: list[Name] | None = Field(
        None,
        description="Names of the log's parts (gzip), in order, in the store that `keptIn` names. Set at the end;"
        " empty once they were deleted.",
        max_length=64,
    )
    log_size: int | None = Field(None, description="Bytes in the log's parts. Absent where nothing was printed.", ge=0)
    log_skipped: int | None = Field(
        None, description="Lines at the beginning of the log that were not kept. Absent where all were kept.", ge=1
    )
    artifacts: Artifacts | None = Field(None, description="Files that the build left. Absent where it left none.")
    kept_in: Place | None = Field(
        None,
        description="Store of the log and the artifacts: Cluster (ConfigMaps beside the Build; also where absent) or"
        " Archive (a bucket or folder).",
    )
    observed_generation: int | None = Field(None, description="Generation of the spec that Berth looked at last.")
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Conditions: Resolved, WorkspaceReady, Running, Ended, Told, Readable. Never cleared, only"
        " changed.",
        max_length=16,
    )


class Build(Resource):
    """One revision of a project, tested on a machine."""

    KIND: ClassVar[str] = "Build"
    PLURAL: ClassVar[str] = "builds"
    SHORT: ClassVar[str] = "bld"
    SELECTABLE: ClassVar[tuple[str, ...]] = (".spec.project", ".spec.user", ".status.id")
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="Project", json_path=".spec.project", description="Project that is built"),
        Column(name="User", json_path=".spec.user", description="User who asked for the build"),
        Column(name="Branch", json_path=".spec.branch", description="Branch that is built"),
        Column(name="Commit", json_path=".status.commit", priority=1, description="Commit that is built"),
        Column(
            name="Ended",
            json_path='.status.conditions[?(@.type=="Ended")].status',
            description="Whether it has ended",
        ),
        Column(
            name="Why",
            json_path='.status.conditions[?(@.type=="Ended")].reason',
            description="How it ended, or what it waits for",
        ),
        Column(name="Instance", json_path=".status.instance", priority=1, description="Instance with its machine"),
        Column(
            name="Message",
            json_path='.status.conditions[?(@.type=="Ended")].message',
            priority=1,
            description="The same in a sentence",
        ),
        Column(name="Since", type="date", json_path=".status.startTime", description="When it stopped waiting"),
        Column(name="Age", type="date", json_path=".metadata.creationTimestamp", description="When it was made"),
    )
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            at="spec",
            rule="has(self.branch) || has(self.commit)",
            message="give spec.branch, spec.commit, or both",
        ),
        *(
            Rule(
                at="spec",
                rule=f"has(self.{field}) == has(oldSelf.{field})"
                f" && (!has(self.{field}) || self.{field} == oldSelf.{field})",
                message=f"spec.{field} cannot be changed: make another Build",
            )
            for field in ("project", "user", "branch", "commit", "priority")
        ),
        Rule(at="spec.attempt", rule="self >= oldSelf", message="spec.attempt never shrinks"),
        Rule(
            at="spec",
            rule="!has(oldSelf.cancel) || (has(self.cancel) && self.cancel >= oldSelf.cancel)",
            message="spec.cancel never shrinks: raise spec.attempt to run the build again",
        ),
        Rule(
            at="spec",
            rule="!has(self.cancel) || !has(self.attempt) || self.cancel <= self.attempt",
            message="spec.cancel names an attempt up to spec.attempt",
        ),
        QUEUED_RULE,
    )

    spec: BuildSpec
    status: BuildStatus = Field(default_factory=BuildStatus)

    @property
    def public_id(self) -> str:
        """Public id: the id in the HTTP API."""
        return ids.instance_id(self.metadata.name, self.metadata.uid)
