"""WorkspaceType: a type of machine, and the template of its pods."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from berth_core import firewall
from berth_core.kube.conditions import Condition
from berth_core.kube.model import Model, Seconds, Word
from berth_core.resources.base import Column, Resource, Rule

INT_OR_STRING: dict[str, Any] = {"x-kubernetes-int-or-string": True}
Quantities = dict[str, str | int]


class EnvVar(Model):
    """An environment variable of the workspace."""

    name: str = Field(
        description="Name of the variable.", min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"
    )
    value: str = Field("", description="Its value.", max_length=4096)


class Resources(Model):
    """Requests and limits of the workspace's container."""

    requests: Quantities = Field(default_factory=dict, description="Reserved amounts, such as cpu and memory.")
    limits: Quantities = Field(default_factory=dict, description="Amounts that are never exceeded.")


class EmptyDir(Model):
    """Scratch space that lives as long as the pod."""

    medium: Literal["", "Memory"] = Field("", description="Memory for a tmpfs; empty for the node's disk.")
    size_limit: str | None = Field(None, description="Size limit, such as 1Gi.", max_length=32)


class NamedSource(Model):
    """An object in the workspace's namespace."""

    name: str = Field(description="Name of the object.", min_length=1, max_length=253)


class HostPath(Model):
    """A path of the node. Needs the verb `elevate` on workspacetypes."""

    path: str = Field(description="Absolute path on the node.", pattern=r"^/", max_length=4096)
    type: str | None = Field(
        None, description="Check of the path before it is mounted, as `type` in a pod's hostPath volume.", max_length=32
    )


class Volume(Model):
    """Storage that the workspace sees. Exactly one source is given."""

    name: str = Field(description="Name of the volume.", pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=40)
    mount_path: str = Field(description="Absolute path in the workspace.", pattern=r"^/", max_length=4096)
    read_only: bool = Field(False, description="Whether the workspace can only read it.")
    empty_dir: EmptyDir | None = Field(None, description="Scratch space.")
    config_map: NamedSource | None = Field(None, description="A ConfigMap's entries as files.")
    persistent_volume_claim: NamedSource | None = Field(None, description="A claim for durable storage.")
    host_path: HostPath | None = Field(None, description="A path of the node.")


class Toleration(Model):
    """A node's taint that the pod tolerates."""

    key: str = Field("", description="The taint's key; empty for all.", max_length=316)
    operator: Literal["Exists", "Equal"] = Field("Equal", description="How the value is compared.")
    value: str = Field("", description="The taint's value.", max_length=63)
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = Field(
        "", description="The effect; empty for all."
    )


class ResourceClaim(Model):
    """A device by Dynamic Resource Allocation."""

    name: str = Field(description="Name of the claim within the pod.", min_length=1, max_length=63)
    resource_claim_template_name: str = Field(
        description="ResourceClaimTemplate that the claim is made from.", min_length=1, max_length=253
    )


class Template(Model):
    """The parts of the workspace's pod that a type chooses. Berth adds the rest."""

    image: str = Field(description="Image that follows Berth's workspace contract.", min_length=1, max_length=1024)
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="When the image is pulled."
    )
    image_pull_secrets: list[NamedSource] = Field(
        default_factory=list, description="Secrets for the image's registry.", max_length=8
    )
    command: list[str] = Field(
        default_factory=list, description="Command that replaces the image's entry point.", max_length=64
    )
    env: list[EnvVar] = Field(default_factory=list, description="Environment of the workspace.", max_length=128)
    resources: Resources = Field(default_factory=Resources, description="Requests and limits of the workspace.")
    volumes: list[Volume] = Field(default_factory=list, description="Storage of the workspace.", max_length=32)
    node_selector: dict[str, str] = Field(default_factory=dict, description="Labels that the node must have.")
    tolerations: list[Toleration] = Field(default_factory=list, description="Taints to tolerate.", max_length=16)
    devices: dict[str, int] = Field(
        default_factory=dict, description="Extended resources by name and count, as device plugins advertise them."
    )
    resource_claims: list[ResourceClaim] = Field(
        default_factory=list, description="Devices by Dynamic Resource Allocation.", max_length=8
    )
    runtime_class_name: str | None = Field(None, description="RuntimeClass of the pod.", max_length=253)
    privileged: bool = Field(
        False, description="Run the workspace privileged. Needs the verb `elevate` on workspacetypes."
    )
    add_capabilities: list[Word] = Field(
        default_factory=list,
        description="Capabilities beyond what sshd needs. Need the verb `elevate` on workspacetypes.",
        max_length=41,
    )


class Limits(Model):
    """Bounds on what a user gets. All times are in seconds."""

    default_expire_after: Seconds | None = Field(
        None, description="Length of a lease whose instance asks for none; absent for no end.", ge=1
    )
    max_expire_after: Seconds | None = Field(None, description="Longest lease; absent for no bound.", ge=1)
    max_per_user: int | None = Field(
        None, description="Most active instances of this type for a user; absent for no bound.", ge=1
    )
    max_extension_when_queued: Seconds | None = Field(
        None, description="Longest extension while others wait; absent for no extension.", ge=0
    )
    start_timeout: int = Field(
        300, description="Time after which an instance that is not ready has failed.", ge=10, le=86400
    )


class Hook(Model):
    """A command that runs between users as a Job, with the template's parts and the deployment's overrides."""

    command: list[str] = Field(
        description="The command and its arguments. An exit code other than 0 is a failure.",
        min_length=1,
        max_length=64,
    )
    image: str | None = Field(
        None, description="Image that it runs from; absent for the template's.", min_length=1, max_length=1024
    )
    timeout: int = Field(
        60,
        description="Seconds after which the command has failed, counted from the creation of its Job.",
        ge=1,
        le=86400,
    )


class Hooks(Model):
    """Commands that Berth runs before and after each lease."""

    prepare: Hook | None = Field(
        None, description="Runs before the workspace is opened. A failure ends the instance (StartFailed)."
    )
    reset: Hook | None = Field(
        None,
        description="Runs when the workspace has ended, before the lease is given back. A failure puts the"
        " deployment in quarantine.",
    )
    health_check: Hook | None = Field(
        None, description="Runs after reset has succeeded. A failure puts the deployment in quarantine."
    )

    @property
    def any(self) -> bool:
        """Whether there is a hook at all."""
        return any((self.prepare, self.reset, self.health_check))


class Network(Model):
    """Networks that the workspace may connect to."""

    egress: Literal["open", "none", "list"] = Field(
        "open",
        description="open: public addresses and the `allowed` networks. none: nowhere. list: the `allowed` networks"
        " only.",
    )
    allowed: list[Annotated[str, Field(max_length=49)]] = Field(
        default_factory=list,
        description="Networks in CIDR notation. Parts that are out of reach for everybody do not count: the"
        " cluster's own, metadata services, and those of the values instances.blockedCidrs and"
        " instances.machineCidrs.",
        max_length=64,
    )

    def reached(self, blocked: Sequence[firewall.Network]) -> firewall.Egress:
        """Return the destinations that workspaces reach, in a cluster with these blocked networks."""
        named = tuple(firewall.parse_source(text) for text in self.allowed)
        return firewall.Egress(named, public=self.egress == "open", blocked=tuple(blocked))


class WorkspaceTypeSpec(Model):
    """Properties of the type, and the template of its workspaces."""

    type_name: str = Field(
        description="Name by which clients ask for the type; unique and never changed.",
        pattern=r"^[A-Za-z_0-9]+$",
        min_length=1,
        max_length=128,
    )
    description: str = Field("", description="Description of the type, for people.", max_length=4096)
    supported_addons: list[Word] = Field(
        default_factory=list, description="Add-ons that clients may use.", max_length=32
    )
    template: Template = Field(description="Parts of the workspace's pod.")
    access: Literal["open", "closed"] = Field(
        "open",
        description="Access where no access rule decides: open for everyone, closed for all but the deployment's"
        " owners.",
    )
    limits: Limits = Field(default_factory=Limits, description="Bounds on what a user gets.")
    hooks: Hooks = Field(default_factory=Hooks, description="Commands that Berth runs before and after each lease.")
    network: Network = Field(default_factory=Network, description="Networks that the workspace may connect to.")
    warm: bool = Field(
        False,
        description="Whether a pod is kept running and shut for each free deployment, so that a lease need not wait"
        " for one. Not with hooks, and not for instances with a VPN.",
    )
    retired: bool = Field(False, description="Whether the type is only kept for its history.")

    @field_validator("warm", mode="before")
    @classmethod
    def _was_a_number(cls, value: object) -> object:
        """Accept a number of pods, which earlier versions stored here."""
        return value > 0 if isinstance(value, int) else value


class WorkspaceTypeStatus(Model):
    """Observed state of the type."""

    observed_generation: int | None = Field(None, description="Generation of the spec that Berth looked at last.")
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Conditions: Ready, IdConflict, NetworkPolicyEnforced, Readable. Never cleared, only changed.",
        max_length=16,
    )
    admission_mark: str | None = Field(
        None,
        description="Random value that the HTTP API replaces with each access rule or reservation that it makes or"
        " deletes.",
        max_length=64,
    )


class WorkspaceType(Resource):
    """A type of workspace: the template, limits and hooks of all its deployments."""

    KIND: ClassVar[str] = "WorkspaceType"
    PLURAL: ClassVar[str] = "workspacetypes"
    SHORT: ClassVar[str] = "wt"
    SELECTABLE: ClassVar[tuple[str, ...]] = (".spec.typeName",)
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="Type", json_path=".spec.typeName", description="Name that clients use"),
        Column(name="Access", json_path=".spec.access", description="open or closed"),
        Column(
            name="Ready",
            json_path='.status.conditions[?(@.type=="Ready")].status',
            description="Whether it can be used",
        ),
        Column(name="Description", json_path=".spec.description", description="Description for people"),
        Column(name="Image", json_path=".spec.template.image", priority=1, description="Image of the workspace"),
        Column(
            name="Why",
            json_path='.status.conditions[?(@.type=="Ready")].message',
            priority=1,
            description="Why it is not ready",
        ),
        Column(name="Age", type="date", json_path=".metadata.creationTimestamp", description="When it was made"),
    )
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            rule="self.spec.typeName == oldSelf.spec.typeName",
            message="spec.typeName cannot be changed: make another WorkspaceType",
        ),
        Rule(
            rule="!has(self.spec.network) || !has(self.spec.network.allowed) || self.spec.network.allowed.size() == 0"
            " || self.spec.network.egress != 'none'",
            message="spec.network.allowed does not count with spec.network.egress: none",
        ),
        Rule(
            rule="!has(self.spec.network) || !has(self.spec.network.allowed)"
            " || self.spec.network.allowed.all(c, isCIDR(c))",
            message="spec.network.allowed takes networks in CIDR notation, such as 192.0.2.0/24",
        ),
        Rule(
            rule="!has(self.spec.template.volumes) || self.spec.template.volumes.all(v, (has(v.emptyDir) ? 1 : 0)"
            " + (has(v.configMap) ? 1 : 0) + (has(v.persistentVolumeClaim) ? 1 : 0) + (has(v.hostPath) ? 1 : 0) == 1)",
            message="each of spec.template.volumes takes exactly one of emptyDir, configMap, persistentVolumeClaim"
            " and hostPath",
        ),
        Rule(
            rule="!has(self.spec.limits) || !has(self.spec.limits.maxExpireAfter)"
            " || !has(self.spec.limits.defaultExpireAfter)"
            " || self.spec.limits.defaultExpireAfter <= self.spec.limits.maxExpireAfter",
            message="spec.limits.defaultExpireAfter must not exceed spec.limits.maxExpireAfter",
        ),
    )

    spec: WorkspaceTypeSpec
    status: WorkspaceTypeStatus = Field(default_factory=WorkspaceTypeStatus)
