"""An instance's firewall."""

from typing import Literal

from pydantic import BaseModel, Field

from berth_api.http.schemas import Cidr


class FirewallRequest(BaseModel):
    """A rule to append."""

    src: Cidr | None = Field(None, description="Address or CIDR; the caller's without it.")
    action: Literal["ACCEPT", "DROP", "REJECT"] | None = Field("ACCEPT", description="What happens to the packet.")


class FirewallRules(BaseModel):
    """Rules in the order of their evaluation; null while there is no chain yet."""

    rules: list[list[str]] | None = Field(description="Pairs of a network in CIDR notation and an action.")
