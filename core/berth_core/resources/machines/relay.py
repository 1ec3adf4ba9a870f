"""Relay: a switch of a machine's power, and the latest request to it."""

from typing import ClassVar, Literal

from pydantic import Field

from berth_core.kube.conditions import Condition
from berth_core.kube.model import Model, Name, Time
from berth_core.resources.base import Column, Resource, Rule
from berth_core.resources.machines.addon import ADDON_NAME, LONGEST_ADDON, Deed


class RelayRequest(Model):
    """A request. A later one replaces it."""

    epoch: int = Field(description="Epoch of the lease that the request belongs to. Never shrinks.", ge=1)
    number: int = Field(description="Number of the request; grows with each.", ge=1)
    do: Literal["on", "off", "cycle", "nothing"] = Field(
        description="Deed of the relay. nothing: no attempt follows, since the operator gave the request up."
    )
    end: bool = Field(
        False,
        description="Whether the request belongs to the end of the lease: then no other request of the epoch follows.",
    )
    since: Time = Field(description="When the relay was asked.")


class RelaySpec(Model):
    """A relay of a machine. Only Berth writes it, and only the request changes."""

    deployment: Name = Field(description="Name of the WorkspaceDeployment whose machine it switches.")
    addon: str = Field(
        description="Name of the add-on in the deployment's `spec.machine.addons`.",
        pattern=ADDON_NAME,
        min_length=1,
        max_length=LONGEST_ADDON,
    )
    secret: Name = Field(description="Secret in the keeper's namespace that says how to work the relay.")
    on_lease_end: Deed | None = Field(None, description="Deed at the end of each lease. Absent for none.")
    request: RelayRequest | None = Field(None, description="Latest request; absent before the first. Never cleared.")


class RelayStatus(Model):
    """Progress of the keeper."""

    number: int | None = Field(
        None,
        description="Number of the request that attempts and the condition Done speak of. Absent before any.",
        ge=1,
    )
    attempts: int = Field(0, description="Attempts at that request that were begun.", ge=0)
    attempt_until: Time | None = Field(
        None,
        description="Time before which an attempt under way has ended. Nobody begins another until then. Cleared when"
        " its outcome is written.",
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Conditions: Usable, Done, Readable. Never cleared, only changed.",
        max_length=16,
    )


class Relay(Resource):
    """A switch of a machine's power, which the keeper works. The operator makes it from the deployment's add-on."""

    KIND: ClassVar[str] = "Relay"
    PLURAL: ClassVar[str] = "relays"
    SHORT: ClassVar[str] = "rly"
    SELECTABLE: ClassVar[tuple[str, ...]] = (".spec.deployment",)
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="Deployment", json_path=".spec.deployment", description="Deployment whose machine it switches"),
        Column(name="Addon", json_path=".spec.addon", description="Name of the add-on"),
        Column(
            name="Usable",
            json_path='.status.conditions[?(@.type=="Usable")].reason',
            description="Whether the keeper can work it, in a word",
        ),
        Column(name="Do", json_path=".spec.request.do", description="Latest request"),
        Column(
            name="Done",
            json_path='.status.conditions[?(@.type=="Done")].status',
            description="Whether the latest attempted request was done",
        ),
        Column(name="Attempts", type="integer", json_path=".status.attempts", description="Attempts at it"),
        Column(
            name="Why",
            json_path='.status.conditions[?(@.type=="Done")].message',
            priority=1,
            description="How the latest attempt ended",
        ),
        Column(name="Epoch", type="integer", json_path=".spec.request.epoch", priority=1, description="Of the request"),
        Column(name="Age", type="date", json_path=".metadata.creationTimestamp", description="When it was made"),
    )
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            at="spec",
            rule="self.deployment == oldSelf.deployment && self.addon == oldSelf.addon"
            " && self.secret == oldSelf.secret && has(self.onLeaseEnd) == has(oldSelf.onLeaseEnd)"
            " && (!has(self.onLeaseEnd) || self.onLeaseEnd == oldSelf.onLeaseEnd)",
            message="of a Relay's spec only the request changes: delete it, and the operator makes it anew",
        ),
        Rule(
            at="spec",
            rule="!has(oldSelf.request) || has(self.request)",
            message="spec.request is never removed: a later one replaces it",
        ),
        Rule(
            at="spec.request",
            rule="self == oldSelf || self.number > oldSelf.number",
            message="spec.request has a greater number than the one before",
        ),
        Rule(
            at="spec.request",
            rule="self.epoch > oldSelf.epoch || self.epoch == oldSelf.epoch"
            " && (!has(oldSelf.end) || !oldSelf.end || has(self.end) && self.end)",
            message="no other request of an epoch follows that of its end",
        ),
    )

    spec: RelaySpec
    status: RelayStatus = Field(default_factory=RelayStatus)
