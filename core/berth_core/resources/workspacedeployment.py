"""WorkspaceDeployment: one machine of a type, and its holder."""

from typing import ClassVar, Final, Literal

from pydantic import Field

from berth_core import ids, names
from berth_core.kube.conditions import Condition, find
from berth_core.kube.model import Model, Time, Word
from berth_core.resources.base import NONCE, Column, Resource, Rule
from berth_core.resources.machines.devices import MachineDevice, device_rules
from berth_core.resources.machines.network import Machine, MachineEndpoints, MachineNetwork, devices_of, machine_rules
from berth_core.resources.workspacetype import EnvVar

MAINTENANCE: Final = "Maintenance"
"""Condition: False once the operator has seen the end of a maintenance; absent where there never was any."""


class Overrides(Model):
    """Differences of a machine from its type's template."""

    node_selector: dict[str, str] = Field(
        default_factory=dict,
        description="Node labels that are added to the template's `nodeSelector`, whose keys keep their values.",
    )
    devices: dict[str, int] = Field(
        default_factory=dict,
        description="Devices that are added to the template's `devices`, whose amounts stay; names of devices only.",
    )
    env: list[EnvVar] = Field(
        default_factory=list,
        description="Environment variables that are added to the template's, and replace those of the same name.",
        max_length=128,
    )


class QuarantineRelease(Model):
    """An administrator's decision that a deployment may be lent again."""

    epoch: int = Field(description="Epoch (status.epoch) whose quarantine is over.", ge=1)
    reason: str = Field("", description="Reason for the release, for later readers.", max_length=1024)


class HttpHealth(Model):
    """A request that a machine answers while it is well."""

    port: int = Field(description="Port of the machine.", ge=1, le=65535)
    path: str = Field(
        "/",
        description="Path, perhaps with a query. A status from 200 to 399 counts; no redirect is followed.",
        pattern="^/[!-~]*$",
        max_length=1024,
    )
    tls: bool = Field(False, description="Ask by TLS; the certificate is not verified.")


class Health(Model):
    """Proof that the machine answers at its address."""

    tcp: int | None = Field(
        None, description="Port that accepts connections while the machine is well.", ge=1, le=65535
    )
    http: HttpHealth | None = Field(
        None, description="Request that the machine answers while it is well; not with `tcp`."
    )
    host: str | None = Field(
        None,
        description="Address that is asked; absent for the first address of `machine.network.addresses`.",
        min_length=2,
        max_length=64,
    )
    every: int = Field(30, description="Seconds from one probe to the next.", ge=1, le=3600)
    failures: int = Field(3, description="Failures in a row after which the machine is offline.", ge=1, le=100)
    during_lease: bool = Field(
        False, description="Probe while somebody has the machine too; many controllers accept one client only."
    )


class Maintenance(Model):
    """A time in which only owners may lease the machine."""

    reason: str = Field(description="Reason, which everybody sees.", min_length=1, max_length=512)
    until: Time | None = Field(None, description="When it ends by itself; absent for an end by hand.")


class WorkspaceDeploymentSpec(Model):
    """One machine that is lent out."""

    type: str = Field(
        description="typeName of the machine's WorkspaceType; never changed.",
        pattern=r"^[A-Za-z_0-9]+$",
        min_length=1,
        max_length=128,
    )
    type_version: int = Field(
        1, description="Version of the type's hardware or software; newer ones are lent first.", ge=0
    )
    region: str = Field("", description="Place where the machine stands.", max_length=128)
    description: str = Field("", description="Description of this machine, for people.", max_length=4096)
    owners: list[Word] = Field(
        default_factory=list,
        description="Users who may lock the deployment, change its access rules, and lease it under maintenance.",
        max_length=64,
    )
    lockout: bool = Field(False, description="Refuse new instances; running ones go on.")
    dissolved: Time | None = Field(None, description="When the machine was taken away for good. Never cleared.")
    heartbeat: Literal["none", "node", "lease"] = Field(
        "none",
        description="Proof that the machine is there. none: not needed. node: a Ready node among those that it"
        " selects. lease: a Lease (coordination.k8s.io) of the deployment's name with the label"
        " berth.dev/heartbeat=true, renewed every 60 seconds at least (sooner where its leaseDurationSeconds says"
        " so).",
    )
    health: Health | None = Field(None, description="Probe of the machine's address by the operator; absent for none.")
    maintenance: Maintenance | None = Field(
        None,
        description="Only owners get new instances (`berth deployment maintain`); running ones go on. Absent for none.",
    )
    quarantine_release: QuarantineRelease | None = Field(
        None,
        description="Ends a quarantine that a failed hook began (`berth deployment release`). Counts for one epoch,"
        " so it is never cleared and never ends a later quarantine.",
    )
    overrides: Overrides = Field(
        default_factory=Overrides, description="Differences of this machine from the type's template."
    )
    machine: Machine | None = Field(
        None,
        description="The machine itself, where the workspace reaches it from outside. Changes count from the next"
        " lease on.",
    )
    grant: str | None = Field(
        None,
        description="Name of the MachineGrant within which an owner registered the machine over HTTP. The machine is"
        " lent only while that grant covers it. Absent for a machine that administrators answer for.",
        min_length=1,
        max_length=253,
    )


class HeldLease(Model):
    """Holder of the deployment."""

    instance: str = Field(description="Public id of the instance that holds it.", min_length=1, max_length=253)
    user: str = Field(description="User of that instance.", min_length=1, max_length=253)
    claimed_at: Time = Field(description="When the lease was taken.")


class WarmSecrets(Model):
    """Secrets that a pod that is kept warm mounts."""

    epoch: int = Field(description="Epoch of the lease that the pod is for.", ge=1)
    nonce: str = Field(
        description="Part of the names of the pod's Secrets, so that no late write can bring them back.",
        pattern=NONCE,
        max_length=16,
    )


class WorkspaceDeploymentStatus(Model):
    """Observed state of the deployment. Its `lease` alone decides which instance holds the deployment."""

    id: str | None = Field(None, description="Public id: the id in the HTTP API. Set once.", max_length=253)
    lease: HeldLease | None = Field(
        None,
        description="Holder of the deployment; absent while it has none. Cleared when all that the lease opened is"
        " gone.",
    )
    epoch: int = Field(
        0,
        description="Number of the latest lease; grows by one with each lease that is taken. Never cleared; begins"
        " above the epochs of an earlier deployment of the name, and a restore may begin higher.",
        ge=0,
    )
    warm: WarmSecrets | None = Field(
        None,
        description="Secrets of the pod that is kept warm, which who takes the lease of its epoch gets. Written before"
        " the pod is made; cleared before it is removed for nobody. It counts for its epoch only.",
    )
    endpoints: MachineEndpoints | None = Field(
        None,
        description="Endpoints that this deployment named before others did: it keeps them as long as its spec names"
        " them and they may be lent. Absent while it has none.",
    )
    instances: int = Field(0, description="Number of completed instances. Never cleared.", ge=0)
    observed_generation: int | None = Field(None, description="Generation of the spec that Berth looked at last.")
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Conditions: Online, Reachable, Maintenance, Available, Begun, Cleaning, Quarantined, IdConflict,"
        " OverridesConflict, Walled, Inbound, DevicesFound, Readable. Never cleared, only changed.",
        max_length=16,
    )


class WorkspaceDeployment(Resource):
    """A machine of a type. At most one instance holds it at a time."""

    KIND: ClassVar[str] = "WorkspaceDeployment"
    PLURAL: ClassVar[str] = "workspacedeployments"
    SHORT: ClassVar[str] = "wd"
    SELECTABLE: ClassVar[tuple[str, ...]] = (
        ".spec.type",
        ".spec.grant",
        ".status.id",
        ".status.lease.instance",
        ".status.lease.user",
    )
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="Type", json_path=".spec.type", description="typeName of the machine"),
        Column(
            name="Available",
            json_path='.status.conditions[?(@.type=="Available")].status',
            description="Whether it can be had now",
        ),
        Column(
            name="Why",
            json_path='.status.conditions[?(@.type=="Available")].reason',
            description="Why it can or cannot be had",
        ),
        Column(name="Holder", json_path=".status.lease.user", description="User who holds it"),
        Column(name="Since", type="date", json_path=".status.lease.claimedAt", description="When the lease was taken"),
        Column(name="Region", json_path=".spec.region", description="Place where the machine stands"),
        Column(name="Instance", json_path=".status.lease.instance", priority=1, description="Instance that holds it"),
        Column(name="Epoch", type="integer", json_path=".status.epoch", priority=1, description="Leases ever taken"),
        Column(
            name="Online",
            json_path='.status.conditions[?(@.type=="Online")].reason',
            priority=1,
            description="Whether the machine is there, in a word",
        ),
        Column(name="Id", json_path=".status.id", priority=1, description="Public id"),
        Column(
            name="Message",
            json_path='.status.conditions[?(@.type=="Available")].message',
            priority=1,
            description="Why, in a sentence",
        ),
        Column(name="Age", type="date", json_path=".metadata.creationTimestamp", description="When it was made"),
    )
    RULES: ClassVar[tuple[Rule, ...]] = (
        *machine_rules("spec.machine.network"),
        *device_rules("spec.machine.devices"),
        Rule(
            at="spec.health",
            rule="has(self.tcp) != has(self.http)",
            message="spec.health has either tcp or http",
        ),
        Rule(at="spec.health.host", rule="isIP(self)", message="spec.health.host is an address, such as 192.0.2.40"),
        Rule(
            rule="self.spec.type == oldSelf.spec.type",
            message="spec.type cannot be changed: make another WorkspaceDeployment",
        ),
        Rule(
            rule="!has(oldSelf.spec.dissolved) || has(self.spec.dissolved)",
            message="spec.dissolved cannot be taken back: make another WorkspaceDeployment",
        ),
        Rule(
            rule="!has(oldSelf.status) || !has(oldSelf.status.epoch) || oldSelf.status.epoch == 0"
            " || (has(self.status) && has(self.status.epoch) && self.status.epoch >= oldSelf.status.epoch)",
            message="status.epoch never shrinks",
        ),
        Rule(
            rule="!has(oldSelf.status) || !has(oldSelf.status.lease) || !has(self.status) || !has(self.status.lease)"
            " || self.status.lease == oldSelf.status.lease",
            message="a lease passes to another holder only after it was given back",
        ),
        Rule(
            rule="!(has(self.status) && has(self.status.lease)) || (has(oldSelf.status) && has(oldSelf.status.lease))"
            " || self.status.epoch =="
            " (has(oldSelf.status) && has(oldSelf.status.epoch) ? oldSelf.status.epoch : 0) + 1",
            message="taking the lease adds exactly one to status.epoch",
        ),
        Rule(
            rule="!(has(oldSelf.status) && has(oldSelf.status.lease))"
            " || (has(self.status) && has(self.status.epoch) ? self.status.epoch : 0)"
            " == (has(oldSelf.status) && has(oldSelf.status.epoch) ? oldSelf.status.epoch : 0)",
            message="status.epoch stays while the lease is held, and when it is given back",
        ),
        Rule(
            at="status",
            rule="has(self.warm) == has(oldSelf.warm) && (!has(self.warm) || self.warm == oldSelf.warm)"
            " || !has(self.lease) && (!has(self.warm)"
            " || self.warm.epoch == (has(self.epoch) ? self.epoch : 0) + 1)",
            message="status.warm is written for the next epoch only, and neither written nor cleared under a lease",
        ),
    )

    spec: WorkspaceDeploymentSpec
    status: WorkspaceDeploymentStatus = Field(default_factory=WorkspaceDeploymentStatus)

    @property
    def public_id(self) -> str:
        """Public id: the id in the HTTP API."""
        return ids.deployment_id(self.metadata.namespace, self.metadata.name)

    @property
    def has_begun(self) -> bool:
        """Whether the operator has looked at it: it has its finalizer and its first epoch (ADR 0023)."""
        return names.FENCE_FINALIZER in self.metadata.finalizers and self.status.observed_generation is not None

    @property
    def maintenance(self) -> Maintenance | None:
        """Maintenance that goes on; None where there is none, or the operator has seen its end.

        It begins with the spec. Its end by time is for the operator to see, so that nobody else's clock counts.
        """
        known = find(self.status.conditions, MAINTENANCE)
        if known is None or known.status != "False" or known.observed_generation != self.metadata.generation:
            return self.spec.maintenance
        return None

    @property
    def network(self) -> MachineNetwork | None:
        """Endpoints of its machine; None where that has none."""
        return self.spec.machine.network if self.spec.machine is not None else None

    @property
    def devices(self) -> tuple[MachineDevice, ...]:
        """Devices of its machine."""
        return devices_of(self.spec.machine)

    def warm_nonce(self, epoch: int) -> str | None:
        """Nonce of a warm pod's Secrets for an epoch; None where there are none or an earlier version made them."""
        warm = self.status.warm
        return warm.nonce if warm is not None and warm.epoch == epoch else None
