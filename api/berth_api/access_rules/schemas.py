"""Access to deployments."""

from typing import Literal

from pydantic import BaseModel, Field

from berth_api.http.schemas import Printable

Capability = Literal["CAP_INSTANTIATE", "CAP_NO_INSTANTIATE"]


class AccessRuleRequest(BaseModel):
    """An access rule to make."""

    cap: Capability = Field(description="What the user may do, or may not.")
    user: Printable | None = Field(
        None, description="Whom it is about; `*`, or nothing, for everybody; up to 253 characters."
    )


class AccessRuleMade(BaseModel):
    """An access rule that was made."""

    rule_id: int


class AccessRuleShown(BaseModel):
    """An access rule."""

    id: int = Field(description="Its number, among those of its deployment.")
    date_created: str
    user: str = Field(description="Whom it is about; `*` for everybody.")
    wdeployment_id: str
    capability: Capability
    param: str | None = Field(description="Argument of the capability; none takes one yet.")


class AccessRules(BaseModel):
    """Access rules, by number."""

    rules: list[AccessRuleShown]
