"""An instance's firewall."""

from typing import Literal

from pydantic import BaseModel, Field


class FirewallRequest(BaseModel):
    """A rule to append."""

    src: str | None = Field(
        None, description="Address or CIDR; the caller's without it.", json_schema_extra={"format": "cidr"}
    )
    action: Literal["ACCEPT", "DROP", "REJECT"] | None = Field("ACCEPT", description="What happens to the packet.")


class FirewallRules(BaseModel):
    """Rules in the order in which they count; null while there is no chain yet."""

    rules: list[tuple[str, str]] | None
