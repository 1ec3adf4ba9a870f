"""Delivery: a webhook to send."""

from typing import ClassVar, Literal

from pydantic import Field

from berth_core.kube.conditions import Condition
from berth_core.kube.model import Model, Name, Time
from berth_core.resources.base import Column, Resource, Rule


class DeliverySpec(Model):
    """Content and receiver of the message. Never changed."""

    url: str = Field(description="http(s) URL of the receiver.", max_length=2048, pattern=r"^https?://")
    payload: str = Field(
        description="Body of the request (JSON), sent exactly as it is here.", min_length=2, max_length=16384
    )
    form: Literal["webhook", "github", "gitlab", "gitea"] = Field(
        "webhook",
        description="webhook: a message that is signed by Standard Webhooks. Others: a commit status, not signed,"
        " with the token in the header that this provider expects.",
    )
    id: str = Field(
        description="Value of the header `webhook-id` in every attempt, by which receivers recognize repetitions.",
        pattern=r"^[A-Za-z0-9_-]+$",
        max_length=128,
    )
    user: str = Field(
        description="User that the message is for; a webhook is signed with this user's secret.",
        min_length=1,
        max_length=253,
    )
    reservation: str | None = Field(
        None, description="Public id of the reservation that the message is about, if any.", max_length=253
    )
    instance: str | None = Field(
        None, description="Public id of the instance that the message is about, if any.", max_length=253
    )
    build: str | None = Field(
        None, description="Public id of the build that the message is about, if any.", max_length=253
    )
    token_secret: Name | None = Field(
        None,
        description="Secret with the provider's token, in the release's namespace: `token`, and under `url` the"
        " beginning of the URLs that the token may be sent to. Absent: no token is sent.",
    )
    subject: str | None = Field(
        None,
        description="Key of the thing that the message reports on. Deliveries with the same subject are sent in the"
        " order of `sequence`; a waiting one is given up when there is a later one.",
        max_length=253,
    )
    sequence: int = Field(0, description="Place among the Deliveries with the same subject.", ge=0)


class DeliveryStatus(Model):
    """Progress of the delivery."""

    attempts: int = Field(0, description="Number of attempts that were begun. Never shrinks.", ge=0)
    last_attempt: Time | None = Field(None, description="When the latest attempt was begun. Absent before the first.")
    next_attempt: Time | None = Field(
        None,
        description="Earliest time of the next attempt; an attempt under way ends before it. Absent before the"
        " first, and cleared when the message was delivered or given up.",
    )
    observed_generation: int | None = Field(None, description="Generation of the spec that Berth looked at last.")
    conditions: list[Condition] = Field(
        default_factory=list, description="Conditions: Delivered, GivenUp. Never cleared, only changed.", max_length=16
    )


class Delivery(Resource):
    """A webhook to send at least once. The operator makes it; the notifier sends it and deletes it a week later."""

    KIND: ClassVar[str] = "Delivery"
    PLURAL: ClassVar[str] = "deliveries"
    SHORT: ClassVar[str] = "dlv"
    SELECTABLE: ClassVar[tuple[str, ...]] = (".spec.user", ".spec.reservation", ".spec.build")
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="User", json_path=".spec.user", description="User that the message is for"),
        Column(name="Instance", json_path=".spec.instance", description="Instance that the message is about"),
        Column(name="Build", json_path=".spec.build", priority=1, description="Build that the message is about"),
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
        Column(name="Age", type="date", json_path=".metadata.creationTimestamp", description="When it was made"),
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
