"""Delivery: a webhook to send."""

from typing import ClassVar, Literal

from pydantic import Field

from berth_core.kube.conditions import Condition
from berth_core.kube.model import Model, Name, Time
from berth_core.resources.base import Column, Resource, Rule


class DeliverySpec(Model):
    """What is sent, and where. Never changed."""

    url: str = Field(description="http(s) URL of the receiver.", max_length=2048, pattern=r"^https?://")
    payload: str = Field(description="Body of the request, letter by letter: JSON.", min_length=2, max_length=16384)
    form: Literal["webhook", "github", "gitlab", "gitea"] = Field(
        "webhook",
        description="webhook: signed by Standard Webhooks. Else the status of a commit: not signed, but with the"
        " token that this provider wants, in the header that it wants it in.",
    )
    id: str = Field(
        description="`webhook-id` of every attempt: receivers know repetitions by it.",
        pattern=r"^[A-Za-z0-9_-]+$",
        max_length=128,
    )
    user: str = Field(description="Whom it tells; his secret signs a webhook.", min_length=1, max_length=253)
    reservation: str | None = Field(
        None, description="Public id of the reservation that it is about, where it is.", max_length=253
    )
    instance: str | None = Field(
        None, description="Public id of the instance that it is about, where it is.", max_length=253
    )
    build: str | None = Field(None, description="Public id of the build that it is about, where it is.", max_length=253)
    token_secret: Name | None = Field(
        None,
        description="Secret with the provider's token, in the release's namespace: `token`, and under `url` the"
        " beginning of the URLs that it may be sent to. Absent: no token is sent.",
    )
    subject: str | None = Field(
        None,
        description="What it says something of. Those with one subject are sent in the order of `sequence`; one that"
        " waits is given up when there is a later one.",
        max_length=253,
    )
    sequence: int = Field(0, description="Its place among those with its subject.", ge=0)


class DeliveryStatus(Model):
    """How far it got."""

    attempts: int = Field(0, description="Attempts that were begun. Never shrinks.", ge=0)
    last_attempt: Time | None = Field(None, description="When the latest attempt was begun. Absent before the first.")
    next_attempt: Time | None = Field(
        None,
        description="Not before this the next attempt begins; an attempt under way ends before it."
        " Absent before the first, and cleared when it was delivered or given up.",
    )
    observed_generation: int | None = Field(None, description="Generation of the spec that was last looked at.")
    conditions: list[Condition] = Field(
        default_factory=list, description="Delivered, GivenUp. Never cleared, only changed.", max_length=16
    )


class Delivery(Resource):
    """A webhook to send, once at least. The operator makes it, the notifier sends it and deletes it a week later."""

    KIND: ClassVar[str] = "Delivery"
    PLURAL: ClassVar[str] = "deliveries"
    SHORT: ClassVar[str] = "dlv"
    SELECTABLE: ClassVar[tuple[str, ...]] = (".spec.user", ".spec.reservation", ".spec.build")
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="User", json_path=".spec.user", description="Whom it tells"),
        Column(name="Instance", json_path=".spec.instance", description="What it is about"),
        Column(name="Build", json_path=".spec.build", priority=1, description="What it is about"),
        Column(name="Attempts", type="integer", json_path=".status.attempts", description="Attempts begun"),
        Column(
            name="Delivered",
            json_path='.status.conditions[?(@.type=="Delivered")].status',
            description="Whether the receiver took it",
        ),
        Column(
            name="GivenUp",
            json_path='.status.conditions[?(@.type=="GivenUp")].status',
            description="Whether no attempt follows",
        ),
        Column(name="Next", json_path=".status.nextAttempt", description="When the next attempt begins"),
        Column(
            name="Why",
            json_path='.status.conditions[?(@.type=="Delivered")].message',
            priority=1,
            description="How the latest attempt ended",
        ),
        Column(name="Age", type="date", json_path=".metadata.creationTimestamp", description="Since when it exists"),
    )
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(rule="self.spec == oldSelf.spec", message="a Delivery's spec cannot be changed"),
        Rule(
            rule="!has(oldSelf.status) || !has(oldSelf.status.attempts)"
            " || (has(self.status) && has(self.status.attempts) && self.status.attempts >= oldSelf.status.attempts)",
            message="status.attempts never shrinks",
        ),
    )

    spec: DeliverySpec
    status: DeliveryStatus = Field(default_factory=DeliveryStatus)
