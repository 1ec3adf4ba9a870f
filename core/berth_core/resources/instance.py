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

MOST_VPN_CLIENTS: Final = 256
"""Clients that one VPN can sign in its life, revoked ones too."""


class Claim(Model):
    """The lease that was taken for this instance before it was made."""

    deployment: str = Field(description="Name of the WorkspaceDeployment.", min_length=1, max_length=253)
    epoch: int = Field(description="Epoch of the lease.", ge=1)


class Repo(Model):
    """A git repository that is cloned into the workspace."""

    url: str = Field(
        description="Where it is: https, http or git, and for everyone to read.", min_length=1, max_length=2048
    )
    path: str | None = Field(
        None,
        description="Where it is put: absolute, or below /root; absent for a folder there of the repository's name.",
        max_length=4096,
    )


class InstanceSpec(Model):
    """What the user asks for. Only `terminate` and `expireAfter` may change."""

    workspace_type: str | None = Field(
        None, description="typeName: any deployment of it.", pattern=r"^[A-Za-z_0-9]+$", max_length=128
    )
    deployments: list[Word] | None = Field(
        None, description="Names of deployments: any of them.", min_length=1, max_length=256
    )
    claim: Claim | None = Field(
        None,
        description="Set by Berth only (verb `claim` on instances)."
        " Absent: the operator takes the lease, in the queue's order.",
    )
    user: str = Field(
        description="Who holds it: the requester, unless he has the verb `actfor` on instances.",
        min_length=1,
        max_length=253,
    )
    requester_address: str | None = Field(
        None, description="IP address that the first firewall rule lets in; absent for none.", max_length=45
    )
    ssh_keys: list[str] = Field(
        default_factory=list, description="Public keys, in OpenSSH's form, that open a shell.", max_length=32
    )
    vpn: bool = Field(False, description="Whether a VPN runs beside the workspace.")
    expire_after: Seconds | None = Field(
        None, description="Seconds from readiness to the end; absent for the type's default.", ge=1
    )
    keep_alive: bool = Field(False, description="End it when no ping came for 60 seconds.")
    repo: Repo | None = Field(None, description="A git repository that is cloned into the workspace before it starts.")
    terminate: bool = Field(False, description="End it. Never cleared.")


class Address(Model):
    """Where ssh answers."""

    ipv4: str = Field(description="IPv4 address.", max_length=15)
    port: int = Field(description="TCP port.", ge=1, le=65535)


class InForce(Model):
    """The firewall ruleset that the agent acknowledged."""

    generation: int = Field(description="Its number; grows with each change.", ge=0)
    digest: str = Field(description="Its digest.", max_length=64)


class VPNIssued(Model):
    """What was signed for the instance's VPN."""

    issued: list[Word] = Field(
        default_factory=list,
        description="uids of the VPNClients that were signed. Who is not there any more is revoked. Never cleared.",
        max_length=MOST_VPN_CLIENTS,
    )


class InstanceStatus(Model):
    """What is observed of the instance."""

    id: str | None = Field(None, description="Public id. Set once.", max_length=253)
    queued: Queued | None = Field(
        None,
        description="Place in the queue, of one without a claim. Set with the first write of the status; may only move"
        " back.",
    )
    returned: Returned | None = Field(None, description=RETURNED)
    deployment: str | None = Field(None, description="Name of the deployment it is bound to. Set once.", max_length=253)
    epoch: int | None = Field(None, description="Epoch of its lease. Set once.", ge=1)
    nonce: str | None = Field(
        None,
        description="In the names of the Secrets that its pod mounts, so that no late write can bring them back."
        " Set with the epoch. Replaced when these Secrets were deleted while it runs; absent from Instances that an"
        " earlier version bound. Never cleared.",
        pattern=NONCE,
        max_length=16,
    )
    hook_nonces: dict[str, str] = Field(
        default_factory=dict,
        description="The same for the Secret that each hook's pod mounts, by hook. Never cleared, only added to.",
    )
    warm: bool | None = Field(
        None, description="Whether its pod is the one that was kept warm for its epoch. Set with the epoch."
    )
    address: Address | None = Field(
        None, description="Where ssh answers. Cleared while the pod is lost and when it ends."
    )
    host_keys: list[str] = Field(
        default_factory=list,
        description="The workspace's public host keys, ed25519 first. Never cleared.",
        max_length=8,
    )
    start_time: Time | None = Field(None, description="When it was bound. Never cleared.")
    ready_time: Time | None = Field(None, description="When it was first ready. Never cleared.")
    expire_time: Time | None = Field(
        None, description="When it will be ended. Set at readiness, changed by extension only."
    )
    end_time: Time | None = Field(None, description="When all that it opened was gone. Set once.")
    reason: str | None = Field(
        None, description="Why it ends or ended. Set once: an instance that ends never comes back.", max_length=128
    )
    message: str | None = Field(None, description="The reason in a sentence.", max_length=4096)
    firewall: InForce | None = Field(None, description="The ruleset in force. Cleared with each new pod.")
    vpn: VPNIssued | None = Field(None, description="Clients of its VPN. Never cleared.")
    pod_uid: str | None = Field(None, description="uid of the pod that the other fields speak of.", max_length=64)
    observed_generation: int | None = Field(None, description="Generation of the spec that was last looked at.")
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Bound, Prepared, PodReady, NetworkReady, VPNReady, RepositoryReady, UserNamespace, Ready, Ended,"
        " Cleaned, Readable. Never cleared, only changed.",
        max_length=16,
    )


def _immutable(field: str) -> tuple[Rule, Rule]:
    message = f"spec.{field} cannot be changed: end this Instance and make another"
    return (
        Rule(at="spec", rule=f"has(self.{field}) == has(oldSelf.{field})", message=message),
        Rule(at=f"spec.{field}", rule="self == oldSelf", message=message),
    )


def repository_rules(at: str) -> tuple[Rule, ...]:
    """Rules of a Repo at a place in a resource: what Berth clones, and where it may go (ADR 0020).

    As rules, not as patterns of the fields: Instances that were made before them stay readable.
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
    """A user's time with a deployment."""

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
        Column(name="User", json_path=".spec.user", description="Who has it"),
        Column(name="Deployment", json_path=".status.deployment", description="What he has"),
        Column(
            name="Ready",
            json_path='.status.conditions[?(@.type=="Ready")].status',
            description="Whether ssh opens a shell",
        ),
        Column(
            name="Why", json_path='.status.conditions[?(@.type=="Ready")].reason', description="Why it is not ready"
        ),
        Column(name="Address", json_path=".status.address.ipv4", description="Where ssh answers"),
        Column(name="Port", type="integer", json_path=".status.address.port", description="On which port"),
        Column(name="Since", type="date", json_path=".status.startTime", description="Since when"),
        Column(name="Until", json_path=".status.expireTime", description="Until when"),
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
    def public_id(self) -> str:
        """The id that clients know it by."""
        return ids.instance_id(self.metadata.name, self.metadata.uid)
