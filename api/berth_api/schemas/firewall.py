"""An instance's firewall."""

from typing import Literal

from pydantic import BaseModel, Field


class FirewallRequest(BaseModel):
    """A rule to append."""

    src: str | None = Field(None, description="Address or CIDR; the caller's without it.")
    action: Literal["ACCEPT", "DROP", "REJECT"] = "ACCEPT"


class FirewallRules(BaseModel):
    """Rules in the order in which they count; null while there is no chain yet."""

    rules: list[tuple[str, str]] | None
