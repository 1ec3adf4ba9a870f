"""FirewallRule: which addresses may reach an instance."""

from typing import ClassVar, Literal

from pydantic import Field

from berth_core.kube.conditions import Condition
from berth_core.kube.model import Model, Name
from berth_core.resources.base import Column, Resource, Rule


class FirewallRuleSpec(Model):
    """One rule. The first that matches a packet's source decides; no match drops. Never changed."""

    instance: Name = Field(description="Public id of the instance.")
    order: int = Field(0, description="Lower comes first; ties by name.", ge=0, le=2147483647)
    source: str = Field(description="Network in CIDR notation.", min_length=1, max_length=49)
    action: Literal["ACCEPT", "DROP", "REJECT"] = Field("ACCEPT", description="What happens to the packet.")


class FirewallRuleStatus(Model):
    """What is observed of the rule."""

    observed_generation: int | None = Field(None, description="Generation of the spec that was last looked at.")
    conditions: list[Condition] = Field(
        default_factory=list, description="InForce, Readable. Never cleared, only changed.", max_length=16
    )


class FirewallRule(Resource):
    """A rule of an instance's firewall."""

    KIND: ClassVar[str] = "FirewallRule"
    PLURAL: ClassVar[str] = "firewallrules"
    SHORT: ClassVar[str] = "fwr"
    SELECTABLE: ClassVar[tuple[str, ...]] = (".spec.instance",)
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="Instance", json_path=".spec.instance", description="Whose firewall"),
        Column(name="Order", type="integer", json_path=".spec.order", description="Lower comes first"),
        Column(name="Source", json_path=".spec.source", description="From where"),
        Column(name="Action", json_path=".spec.action", description="What happens"),
        Column(
            name="InForce",
            json_path='.status.conditions[?(@.type=="InForce")].status',
            description="Whether the agent has it",
        ),
        Column(
            name="Why",
            json_path='.status.conditions[?(@.type=="InForce")].message',
            priority=1,
            description="Why it is not in force",
        ),
        Column(name="Age", type="date", json_path=".metadata.creationTimestamp", description="Since when it exists"),
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
