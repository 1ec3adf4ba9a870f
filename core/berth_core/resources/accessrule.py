"""AccessRule: who may instantiate a deployment."""

from typing import ClassVar, Final, Literal, Self

from pydantic import Field

from berth_core.kube.model import Model, Name
from berth_core.kube.types import Object
from berth_core.resources.base import Column, ObjectMeta, Resource, Rule

EVERYBODY = "*"
GREATEST_ID: Final = 2**31 - 1
LONGEST_NAME: Final = 253


class AccessRuleSpec(Model):
    """A rule that allows or forbids. The most specific rule for a user decides. Never changed."""

    deployment: Name = Field(description="Name of the WorkspaceDeployment in the same namespace.")
    user: str = Field(
        EVERYBODY, description="User that the rule is about; `*` for everybody.", min_length=1, max_length=LONGEST_NAME
    )
    capability: Literal["CAP_INSTANTIATE", "CAP_NO_INSTANTIATE"] = Field(
        description="CAP_INSTANTIATE lets the user instantiate the deployment, CAP_NO_INSTANTIATE forbids it."
    )
    param: str | None = Field(
        None, description="Argument of the capability; no capability takes one yet.", max_length=1024
    )
    rule_id: int = Field(
        alias="ruleID",
        description="Number of the rule in the HTTP API; unique among the rules of a deployment.",
        ge=1,
        le=GREATEST_ID,
    )


class AccessRule(Resource):
    """A rule that allows users to instantiate a deployment, or forbids it."""

    KIND: ClassVar[str] = "AccessRule"
    PLURAL: ClassVar[str] = "accessrules"
    SHORT: ClassVar[str] = "acr"
    SELECTABLE: ClassVar[tuple[str, ...]] = (".spec.deployment", ".spec.user")
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="Deployment", json_path=".spec.deployment", description="Deployment that the rule is about"),
        Column(name="User", json_path=".spec.user", description="User that the rule is about"),
        Column(name="Capability", json_path=".spec.capability", description="Whether the rule allows or forbids"),
        Column(name="Id", type="integer", json_path=".spec.ruleID", description="Number of the rule in the HTTP API"),
        Column(name="Age", type="date", json_path=".metadata.creationTimestamp", description="When it was made"),
    )
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            rule="self.spec == oldSelf.spec",
            message="an AccessRule's spec cannot be changed: delete it and make another",
        ),
    )

    spec: AccessRuleSpec

    @classmethod
    def stand_in(cls, obj: Object) -> Self | None:
        """Return a rule that forbids: for the same user, or for everybody where the user is unreadable."""
        spec = obj.get("spec")
        spec = spec if isinstance(spec, dict) else {}
        deployment, user, number = spec.get("deployment"), spec.get("user"), spec.get("ruleID")
        if not _is_name(deployment):
            return None  # it names no deployment
        rule = AccessRuleSpec(
            deployment=str(deployment),
            user=str(user) if _is_name(user) else EVERYBODY,
            capability="CAP_NO_INSTANTIATE",
            rule_id=number if isinstance(number, int) and 1 <= number <= GREATEST_ID else 1,
        )
        return cls(metadata=ObjectMeta.model_validate(obj["metadata"]), spec=rule)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= LONGEST_NAME
