"""Reservation: a place in the queue."""

from typing import ClassVar

from pydantic import Field

from berth_core.kube.conditions import Condition
from berth_core.kube.model import Model, Word
from berth_core.resources.base import QUEUED_RULE, RETURNED, Column, Queued, Resource, Returned, Rule, returned_rules
from berth_core.resources.instance import InstanceSpec, repository_rules


class Grant(Model):
    """A lease that Berth took for the reservation when its turn came."""

    deployment: str = Field(description="Name of the WorkspaceDeployment.", max_length=253)
    epoch: int = Field(description="Epoch of the lease: its number among the leases of the deployment.", ge=1)
    instance: str = Field(description="Public id of the instance that the lease was taken for.", max_length=253)


class ReservationSpec(Model):
    """A request for a deployment once it is free. Never changed."""

    user: str = Field(description="User who waits.", min_length=1, max_length=253)
    workspace_type: str | None = Field(
        None,
        description="typeName of a WorkspaceType: any deployment of it will do.",
        pattern=r"^[A-Za-z_0-9]+$",
        max_length=128,
    )
    deployments: list[Word] | None = Field(
        None, description="Names of WorkspaceDeployments: any of them will do.", min_length=1, max_length=256
    )
    event_url: str | None = Field(
        None,
        description="http(s) URL that receives a webhook when the turn has come.",
        max_length=2048,
        pattern=r"^https?://",
    )
    priority: int = Field(
        0,
        description="Reservations with a higher priority go first. Other than 0 needs the verb `prioritize` on"
        " reservations.",
        ge=-1000,
        le=1000,
    )
    superuser: bool = Field(
        False,
        description="Whether the user is a superuser, whom access rules do not bind (verb `actfor` on instances).",
    )
    instance: InstanceSpec = Field(description="Instance that Berth makes when the turn has come.")


class ReservationStatus(Model):
    """Observed state of the reservation."""

    queued: Queued | None = Field(
        None, description="Place in the queue. Set with the first write of the status; it can only move back."
    )
    returned: Returned | None = Field(None, description=RETURNED)
    grant: Grant | None = Field(
        None, description="Lease that was taken for the reservation. Set once, when the turn has come."
    )
    observed_generation: int | None = Field(None, description="Generation of the spec that Berth looked at last.")
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Conditions: Waiting; Fulfilled, once nothing is left to be done; Notified, with spec.eventUrl,"
        " once the Delivery of the webhook was made; Readable. Never cleared, only changed.",
        max_length=16,
    )


class Reservation(Resource):
    """A place in the queue for a deployment."""

    KIND: ClassVar[str] = "Reservation"
    PLURAL: ClassVar[str] = "reservations"
    SHORT: ClassVar[str] = "rsv"
    SELECTABLE: ClassVar[tuple[str, ...]] = (".spec.user", ".spec.workspaceType", ".status.grant.instance")
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="User", json_path=".spec.user", description="User who waits"),
        Column(name="Type", json_path=".spec.workspaceType", description="typeName that it waits for"),
        Column(name="Priority", type="integer", json_path=".spec.priority", description="Higher goes first"),
        Column(
            name="Waiting",
            json_path='.status.conditions[?(@.type=="Waiting")].status',
            description="Whether it still waits",
        ),
        Column(
            name="Instance", json_path=".status.grant.instance", description="Public id of the instance that it got"
        ),
        Column(name="Age", type="date", json_path=".metadata.creationTimestamp", description="When it was made"),
    )
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            rule="has(self.spec.workspaceType) != has(self.spec.deployments)",
            message="give exactly one of spec.workspaceType and spec.deployments",
        ),
        Rule(
            rule="self.spec == oldSelf.spec",
            message="a Reservation's spec cannot be changed: delete it and make another",
        ),
        *repository_rules("spec.instance.repo"),
        Rule(
            rule="!has(oldSelf.status) || !has(oldSelf.status.grant)"
            " || (has(self.status) && has(self.status.grant) && self.status.grant == oldSelf.status.grant)",
            message="status.grant is set once",
        ),
        *returned_rules("self.grant", "self.grant"),
        QUEUED_RULE,
    )

    spec: ReservationSpec
    status: ReservationStatus = Field(default_factory=ReservationStatus)
