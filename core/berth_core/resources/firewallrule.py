"""FirewallRule: which addresses may reach an instance."""

from typing import ClassVar, Literal

from pydantic import Field

from berth_core.kube.conditions import Condition
from berth_core.kube.model import Model, Name
from berth_core.resources.base import Column, Resource, Rule


class FirewallRuleSpec(Model):
    """A rule for incoming packets. The first that matches a packet's source decides; no match drops. Never changed."""

    instance: Name = Field(description="Public id of the instance that the rule protects.")
    order: int = Field(
        0, description="Place among the instance's rules: lower comes first; ties by name.", ge=0, le=2147483647
    )
    source: str = Field(description="Network that packets come from, in CIDR notation.", min_length=1, max_length=49)
    action: Literal["ACCEPT", "DROP", "REJECT"] = Field(
        "ACCEPT", description="ACCEPT lets the packet in, DROP discards it silently, REJECT answers it with a refusal."
    )


class FirewallRuleStatus(Model):
    """Observed state of the rule."""

    observed_generation: int | None = Field(None, description="Generation of the spec that Berth looked at last.")
    conditions: list[Condition] = Field(
        default_factory=list, description="Conditions: InForce, Readable. Never cleared, only changed.", max_length=16
    )


class FirewallRule(Resource):
    """A rule of an instance's firewall."""

    KIND: ClassVar[str] = "FirewallRule"
    PLURAL: ClassVar[str] = "firewallrules"
    SHORT: ClassVar[str] = "fwr"
    SELECTABLE: ClassVar[tuple[str, ...]] = (".spec.instance",)
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="Instance", json_path=".spec.instance", description="Instance that the rule protects"),
        Column(name="Order", type="integer", json_path=".spec.order", description="Lower comes first"),
        Column(name="Source", json_path=".spec.source", description="Network that packets come from"),
        Column(name="Action", json_path=".spec.action", description="ACCEPT, DROP or REJECT"),
        Column(
            name="InForce",
            json_path='.status.conditions[?(@.type=="InForce")].status',
            description="Whether the agent enforces it",
        ),
        Column(
            name="Why",
            json_path='.status.conditions[?(@.type=="InForce")].message',
            priority=1,
            description="Why it is not in force",
        ),
        Column(name="Age", type="date", json_path=".metadata.creationTimestamp", description="When it was made"),
    )
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            rule="self.spec == oldSelf.spec",
            message="a FirewallRule's spec cannot be changed: delete it and make another",
        ),
        Rule(
            rule="isCIDR(self.spec.source)",
            message="spec.source takes a network in CIDR notation, such as 192.0.2.7/32",
        ),
    )

    spec: FirewallRuleSpec
    status: FirewallRuleStatus = Field(default_factory=FirewallRuleStatus)
