"""Build: one revision of a project, tested on a machine."""

from typing import Annotated, ClassVar, Final, Literal, TypeAlias

from pydantic import Field

from berth_core import ids
from berth_core.kube.conditions import Condition
from berth_core.kube.model import Model, Name, Time
from berth_core.resources.base import NONCE, QUEUED_RULE, Column, Queued, Resource, Rule

Place: TypeAlias = Literal["Cluster", "Archive"]
"""Where what was kept of a build lies: in ConfigMaps beside it, or in the archive (``berth_core.archive.storage``)."""
IN_ARCHIVE: Final[Place] = "Archive"

Attempts = Annotated[int, Field(json_schema_extra={"maximum": 100_000})]
"""Number of an attempt. What the attempt makes is named with it, and names of Jobs have at most 63 characters."""


class BuildSpec(Model):
    """What is built. Only `attempt` and `cancel` change, and they only grow."""

    project: Name = Field(description="Name (metadata.name) of the Project beside it.")
    user: str = Field(
        description="Who asked for it, and who holds the machine: the requester, unless he has the verb `actfor` on"
        " instances.",
        min_length=1,
        max_length=253,
    )
    branch: str | None = Field(
        None, description="Its head is built, or the commit, which must be on it.", min_length=1, max_length=255
    )
    commit: str | None = Field(
        None, description="What is built: its name or the beginning of it.", pattern=r"^[0-9a-fA-F]{7,64}$"
    )
    priority: int = Field(0, description="Higher goes first (verb `prioritize` on builds).", ge=-1000, le=1000)
    attempt: Attempts = Field(1, description="Number of the attempt that is wanted: one more restarts it.", ge=1)
    cancel: Attempts | None = Field(None, description="Number of the latest attempt that is not wanted any more.", ge=1)


class Artifacts(Model):
    """What a build left behind."""

    size: int = Field(description="Bytes of the tarball (gzip).", ge=0)
    sha256: str = Field(description="Its SHA-256, in hex.", pattern=r"^[0-9a-f]{64}$")
    config_maps: list[Name] = Field(
        description="Its parts, in order, by names in `keptIn`; none once they were deleted.", max_length=64
    )


class BuildStatus(Model):
    """What is observed of the build.

    All but `id` and `queued` is of the attempt that `attempt` names; the next one clears it.
    """

    id: str | None = Field(None, description="Public id. Set once.", max_length=253)
    queued: Queued | None = Field(
        None, description="Place in the queue. Set with the first write of the status; may only move back."
    )
    attempt: int | None = Field(None, description="Which attempt the other fields speak of. Never shrinks.", ge=1)
    commit: str | None = Field(
        None, description="The commit that is built, in full. Set when it was found.", pattern=r"^[0-9a-f]{40,64}$"
    )
    image: str | None = Field(None, description="Image that the script runs in, by its .berth.yml.", max_length=512)
    workspace: str | None = Field(
        None, description="typeName of the machine that it wants, by its .berth.yml.", max_length=128
    )
    timeout: int | None = Field(None, description="Seconds that the script gets, by its .berth.yml.", ge=1)
    instance: Name | None = Field(None, description="Name of the Instance that it has or had.")
    instance_uid: str | None = Field(
        None,
        description="metadata.uid of that Instance: no other of its name counts. Set with `instance`, replaced when the"
        " Instance was made again.",
        max_length=64,
    )
    nonce: str | None = Field(
        None,
        description="In the name of the Secret without which its script does not start, so that no late write can start"
        " it again. Set once, before the script's Job is made.",
        pattern=NONCE,
        max_length=16,
    )
    start_time: Time | None = Field(None, description="When it stopped waiting for its turn.")
    end_time: Time | None = Field(None, description="When it had ended, and its machine was asked back. Set once.")
    exit_code: int | None = Field(None, description="What the script ended with.", ge=0)
    reason: str | None = Field(None, description="Why it ended. Set once.", max_length=128)
    message: str | None = Field(None, description="The reason in a sentence.", max_length=4096)
    log: list[Name] | None = Field(
        None,
        description="Parts of its log (gzip), in order, by names in `keptIn`. Set at its end; empty once they were"
        " deleted.",
        max_length=64,
    )
    log_size: int | None = Field(None, description="Bytes in them. Absent where nothing was printed.", ge=0)
    log_skipped: int | None = Field(
        None, description="Lines at the beginning of the log that were not kept. Absent where all were.", ge=1
    )
    artifacts: Artifacts | None = Field(None, description="What it left behind. Absent where it left nothing.")
    kept_in: Place | None = Field(
        None,
        description="Where log and artifacts lie: Cluster (ConfigMaps beside the Build; also where absent), Archive.",
    )
    observed_generation: int | None = Field(None, description="Generation of the spec that was last looked at.")
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Resolved, WorkspaceReady, Running, Ended, Told, Readable. Never cleared, only changed.",
        max_length=16,
    )


class Build(Resource):
    """One revision of a project, tested on a machine."""

    KIND: ClassVar[str] = "Build"
    PLURAL: ClassVar[str] = "builds"
    SHORT: ClassVar[str] = "bld"
    SELECTABLE: ClassVar[tuple[str, ...]] = (".spec.project", ".spec.user", ".status.id")
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="Project", json_path=".spec.project", description="Of which project"),
        Column(name="User", json_path=".spec.user", description="Who asked for it"),
        Column(name="Branch", json_path=".spec.branch", description="Of which branch"),
        Column(name="Commit", json_path=".status.commit", priority=1, description="Which commit"),
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
        Column(name="Instance", json_path=".status.instance", priority=1, description="Which machine it has or had"),
        Column(
            name="Message",
            json_path='.status.conditions[?(@.type=="Ended")].message',
            priority=1,
            description="The same in a sentence",
        ),
        Column(name="Since", type="date", json_path=".status.startTime", description="Since when"),
        Column(name="Age", type="date", json_path=".metadata.creationTimestamp", description="Since when it exists"),
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
        """The id that clients know it by."""
        return ids.instance_id(self.metadata.name, self.metadata.uid)
