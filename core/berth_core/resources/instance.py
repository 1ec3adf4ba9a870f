"""Instance: one user's time with one deployment."""

from typing import ClassVar, Final

from pydantic import Field

from berth_core import ids, repositories
from berth_core.kube.conditions import Condition
from berth_core.kube.model import Model, Seconds, Time, Word
from berth_core.resources.base import (
    NONCE,
    QUEUED_RULE,
    RETURNED,
    Column,
    Queued,
    Resource,
    Returned,
    Rule,
    returned_rules,
)
from berth_core.resources.machines.addon import addon_rules
from berth_core.resources.machines.devices import MachineDevice, device_rules
from berth_core.resources.machines.network import Machine, MachineNetwork, devices_of, machine_rules

MOST_VPN_CLIENTS: Final = 256
"""Clients that one VPN can sign in its life, revoked ones too."""


class Claim(Model):
    """A lease that Berth took for this instance before making it."""

    deployment: str = Field(description="Name of the WorkspaceDeployment.", min_length=1, max_length=253)
    epoch: int = Field(description="Epoch of the lease: its number among the leases of the deployment.", ge=1)


class Repo(Model):
    """A git repository that is cloned into the workspace."""

    url: str = Field(
        description="URL of the repository: https, http or git, readable for everyone.", min_length=1, max_length=2048
    )
    path: str | None = Field(
        None,
        description="Folder of the clone: absolute, or relative to /root; absent for a folder there of the"
        " repository's name.",
        max_length=4096,
    )


class InstanceSpec(Model):
    """The user's request. Only `terminate` and `expireAfter` may change."""

    workspace_type: str | None = Field(
        None,
        description="typeName of a WorkspaceType: any deployment of it will do.",
        pattern=r"^[A-Za-z_0-9]+$",
        max_length=128,
    )
    deployments: list[Word] | None = Field(
        None, description="Names of WorkspaceDeployments: any of them will do.", min_length=1, max_length=256
    )
    claim: Claim | None = Field(
        None,
        description="Lease that the instance uses. Set by Berth only (verb `claim` on instances). Absent: the"
        " operator takes a lease, in the queue's order.",
    )
    user: str = Field(
        description="User who holds the machine. Naming another user than oneself needs the verb `actfor` on"
        " instances.",
        min_length=1,
        max_length=253,
    )
    requester_address: str | None = Field(
        None, description="IP address that the first firewall rule lets in; absent for no such rule.", max_length=45
    )
    ssh_keys: list[str] = Field(
        default_factory=list, description="Public keys, in OpenSSH's form, that may log in by ssh.", max_length=32
    )
    vpn: bool = Field(False, description="Whether a VPN server runs beside the workspace.")
    expire_after: Seconds | None = Field(
        None, description="Seconds from readiness to the end; absent for the type's default.", ge=1
    )
    keep_alive: bool = Field(
        False, description="Whether the instance ends when no keep-alive ping came for 60 seconds."
    )
    repo: Repo | None = Field(None, description="Git repository that is cloned into the workspace before it starts.")
    terminate: bool = Field(False, description="Setting it to true ends the instance. Never cleared.")


class Address(Model):
    """Address and port of the workspace's ssh server."""

    ipv4: str = Field(description="IPv4 address of the ssh server.", max_length=15)
    port: int = Field(description="TCP port of the ssh server.", ge=1, le=65535)


class InForce(Model):
    """The firewall ruleset that the agent in the pod acknowledged."""

    generation: int = Field(description="Number of the ruleset; grows with each change.", ge=0)
    digest: str = Field(description="Digest of the ruleset.", max_length=64)


class VPNIssued(Model):
    """Clients whose certificates were signed for the instance's VPN."""

    issued: list[Word] = Field(
        default_factory=list,
        description="uids of the VPNClients whose certificates were signed. A client whose VPNClient was deleted is"
        " revoked. Never cleared.",
        max_length=MOST_VPN_CLIENTS,
    )


class InstanceStatus(Model):
    """Observed state of the instance."""

    id: str | None = Field(None, description="Public id: the id in the HTTP API. Set once.", max_length=253)
    queued: Queued | None = Field(
        None,
        description="Place in the queue, for an instance without a claim. Set with the first write of the status; it"
        " can only move back.",
    )
    returned: Returned | None = Field(None, description=RETURNED)
    deployment: str | None = Field(
        None, description="Name of the WorkspaceDeployment that the instance is bound to. Set once.", max_length=253
    )
    epoch: int | None = Field(
        None, description="Epoch of the lease: its number among the leases of the deployment. Set once.", ge=1
    )
    nonce: str | None = Field(
        None,
        description="Part of the names of the Secrets that the pod mounts, so that no late write can bring them"
        " back. Set with the epoch. Replaced when these Secrets were deleted while it runs; absent from Instances"
        " that an earlier version bound. Never cleared.",
        pattern=NONCE,
        max_length=16,
    )
    hook_nonces: dict[str, str] = Field(
        default_factory=dict,
        description="Part of the name of the Secret that each hook's pod mounts, by hook. Never cleared, only added"
        " to.",
    )
    warm: bool | None = Field(
        None, description="Whether the pod is the one that was kept warm for the epoch. Set with the epoch."
    )
    machine: Machine | None = Field(
        None,
        description="`spec.machine` of the deployment as it was when the instance was bound. Set with the epoch; it"
        " alone decides what the instance reaches of the machine. Absent where the deployment had none.",
    )
    address: Address | None = Field(
        None,
        description="Address of the workspace's ssh server. Cleared while the pod is lost and when the instance ends.",
    )
    host_keys: list[str] = Field(
        default_factory=list,
        description="Public host keys of the workspace's ssh server, ed25519 first. Never cleared.",
        max_length=8,
    )
    start_time: Time | None = Field(None, description="When the instance was bound to its deployment. Never cleared.")
    ready_time: Time | None = Field(None, description="When the instance was first ready. Never cleared.")
    expire_time: Time | None = Field(
        None, description="When Berth will end the instance. Set at readiness, changed by extension only."
    )
    end_time: Time | None = Field(None, description="When all that the instance opened was gone. Set once.")
    reason: str | None = Field(
        None,
        description="Why the instance ends or ended. Set once: an instance that ends never comes back.",
        max_length=128,
    )
    message: str | None = Field(None, description="The reason in a sentence.", max_length=4096)
    firewall: InForce | None = Field(None, description="Ruleset that the agent enforces. Cleared with each new pod.")
    vpn: VPNIssued | None = Field(None, description="Clients of the instance's VPN. Never cleared.")
    pod_uid: str | None = Field(
        None, description="metadata.uid of the pod that the other fields describe.", max_length=64
    )
    observed_generation: int | None = Field(None, description="Generation of the spec that Berth looked at last.")
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Conditions: Bound, Prepared, PodReady, NetworkReady, VPNReady, RepositoryReady, UserNamespace,"
        " Ready, Ended, Cleaned, Rested, MachineReachable, Readable. Never cleared, only changed.",
        max_length=16,
    )


def _immutable(field: str) -> tuple[Rule, Rule]:
    message = f"spec.{field} cannot be changed: end this Instance and make another"
    return (
        Rule(at="spec", rule=f"has(self.{field}) == has(oldSelf.{field})", message=message),
        Rule(at=f"spec.{field}", rule="self == oldSelf", message=message),
    )


def repository_rules(at: str) -> tuple[Rule, ...]:
    """Rules of a Repo at a path in a resource: URLs that Berth clones, and folders for the clone (ADR 0020).

    They are rules and not patterns of the fields, so that Instances that were made before them stay readable.
    """
    fits = f"size(self) <= {repositories.LONGEST_PATH} && self.matches(r'{repositories.PATH}')"
    return (
        Rule(
            at=f"{at}.url",
            rule=f"self.matches(r'{repositories.URL}')",
            message=f"{at}.url {repositories.URL_WANTED}",
        ),
        Rule(
            at=f"{at}.path",
            rule=f"{fits} && !self.matches(r'{repositories.NEVER}')",
            message=f"{at}.path {repositories.PATH_WANTED}",
        ),
    )


class Instance(Resource):
    """A user's time with a machine: the lease of a deployment, and the workspace that runs under it."""

    KIND: ClassVar[str] = "Instance"
    PLURAL: ClassVar[str] = "instances"
    SHORT: ClassVar[str] = "inst"
    SELECTABLE: ClassVar[tuple[str, ...]] = (
        ".spec.user",
        ".spec.claim.deployment",
        ".status.id",
        ".status.deployment",
        ".status.reason",
    )
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="User", json_path=".spec.user", description="User who holds the machine"),
        Column(name="Deployment", json_path=".status.deployment", description="Deployment that it is bound to"),
        Column(
            name="Ready",
            json_path='.status.conditions[?(@.type=="Ready")].status',
            description="Whether ssh opens a shell",
        ),
        Column(
            name="Why", json_path='.status.conditions[?(@.type=="Ready")].reason', description="Why it is not ready"
        ),
        Column(name="Address", json_path=".status.address.ipv4", description="Address of the ssh server"),
        Column(name="Port", type="integer", json_path=".status.address.port", description="Port of the ssh server"),
        Column(name="Since", type="date", json_path=".status.startTime", description="When it was bound"),
        Column(name="Until", json_path=".status.expireTime", description="When it will be ended"),
        Column(name="Ended", type="date", json_path=".status.endTime", priority=1, description="When it ended"),
        Column(name="Epoch", type="integer", json_path=".status.epoch", priority=1, description="Epoch of the lease"),
        Column(
            name="Message",
            json_path='.status.conditions[?(@.type=="Ready")].message',
            priority=1,
            description="Why, in a sentence",
        ),
    )
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            at="spec",
            rule="has(self.workspaceType) != has(self.deployments)",
            message="give exactly one of spec.workspaceType and spec.deployments",
        ),
        *(
            rule
            for field in (
                "workspaceType",
                "deployments",
                "claim",
                "user",
                "requesterAddress",
                "sshKeys",
                "vpn",
                "keepAlive",
                "repo",
            )
            for rule in _immutable(field)
        ),
        Rule(
            at="spec",
            rule="!has(oldSelf.terminate) || !oldSelf.terminate || (has(self.terminate) && self.terminate)",
            message="spec.terminate cannot be taken back: make another Instance",
        ),
        Rule(
            at="spec.requesterAddress",
            rule="isIP(self)",
            message="spec.requesterAddress takes an IP address, such as 192.0.2.7",
        ),
        *repository_rules("spec.repo"),
        *machine_rules("status.machine.network"),
        *addon_rules("status.machine"),
        *device_rules("status.machine.devices"),
        Rule(
            rule="!has(oldSelf.status) || has(self.status)",
            message="status cannot be removed: an Instance keeps its epoch and its end",
        ),
        Rule(
            at="status",
            rule="!has(oldSelf.epoch) || (has(self.epoch) && self.epoch == oldSelf.epoch)",
            message="status.epoch is set once",
        ),
        Rule(
            at="status",
            rule="!has(oldSelf.epoch) || (has(self.machine) == has(oldSelf.machine)"
            " && (!has(self.machine) || self.machine == oldSelf.machine))",
            message="status.machine is set with status.epoch, and stays",
        ),
        Rule(
            at="status",
            rule="!has(oldSelf.nonce) || (has(self.nonce) && (self.nonce == oldSelf.nonce || !has(oldSelf.reason)))",
            message="status.nonce is never removed, and stays once the Instance ends",
        ),
        Rule(
            at="status",
            rule="!has(oldSelf.endTime) || (has(self.endTime) && self.endTime == oldSelf.endTime)",
            message="an ended Instance stays ended",
        ),
        *returned_rules("self.epoch", "self"),
        QUEUED_RULE,
    )

    spec: InstanceSpec
    status: InstanceStatus = Field(default_factory=InstanceStatus)

    @property
    def network(self) -> MachineNetwork | None:
        """Endpoints of the machine that its lease opens; None where there are none, or it is not bound."""
        return self.status.machine.network if self.status.machine is not None else None

    @property
    def devices(self) -> tuple[MachineDevice, ...]:
        """Devices of the machine that its lease opens."""
        return devices_of(self.status.machine)

    @property
    def public_id(self) -> str:
        """Public id: the id in the HTTP API."""
        return ids.instance_id(self.metadata.name, self.metadata.uid)
