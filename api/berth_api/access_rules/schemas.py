"""Access to deployments."""

from typing import Annotated, Final, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema

from berth_api.http.bodies import Options, said
from berth_core import ids
from berth_core.resources import AccessRule
from berth_core.resources.accessrule import EVERYBODY

LONGEST_USER: Final = 253

Capability = Literal["CAP_INSTANTIATE", "CAP_NO_INSTANTIATE"]


def _user(text: str) -> str:
    if not 1 <= len(text) <= LONGEST_USER or not text.isprintable():
        raise ValueError(f"must be a user's name of up to {LONGEST_USER} characters, or *")
    return text


User = Annotated[str, AfterValidator(_user), WithJsonSchema({"type": "string", "format": "printable"})]


class AccessRuleRequest(Options):
    """An access rule to make."""

    cap: Annotated[Capability, said(f"must be {' or '.join(get_args(Capability))}")] = Field(
        description="Capability that the rule gives or takes."
    )
    user: User = Field(
        EVERYBODY, description="User that it is about; `*`, or nothing, for everybody; up to 253 characters."
    )


class AccessRuleMade(BaseModel):
    """An access rule that was made."""

    rule_id: int


class AccessRuleShown(BaseModel):
    """An access rule."""

    id: int = Field(description="Its number, among those of its deployment.")
    date_created: str
    user: str = Field(description="User that it is about; `*` for everybody.")
    wdeployment_id: str
    capability: Capability
    param: str | None = Field(description="Argument of the capability; none takes one yet.")

    @classmethod
    def of(cls, rule: AccessRule) -> Self:
        """Show a rule."""
        metadata, spec = rule.metadata, rule.spec
        return cls(
            id=spec.rule_id,
            date_created=metadata.creation_timestamp,
            user=spec.user,
            wdeployment_id=ids.deployment_id(metadata.namespace, spec.deployment),
            capability=spec.capability,
            param=spec.param,
        )


class AccessRules(BaseModel):
    """Access rules, by number."""

    rules: list[AccessRuleShown]
