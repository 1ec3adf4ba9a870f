"""An instance's firewall."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema

from berth_api.http.bodies import Options, said
from berth_core.firewall.model import parse_source


def cidr(text: str) -> str:
    """Return an address or a subnet in CIDR notation. Raises ValueError."""
    try:
        return str(parse_source(text))
    except ValueError as error:
        raise ValueError("must be an IPv4 address or subnet in CIDR notation") from error


Cidr = Annotated[str, AfterValidator(cidr), WithJsonSchema({"type": "string", "format": "cidr"})]
Action = Literal["ACCEPT", "DROP", "REJECT"]


class FirewallRequest(Options):
    """A rule to append."""

    src: Cidr | None = Field(None, description="Address or CIDR; the caller's without it.")
    action: Annotated[Action, said("not recognized")] = Field("ACCEPT", description="What happens to the packet.")


class FirewallRules(BaseModel):
    """Rules in the order of their evaluation; null while there is no chain yet."""

    rules: list[list[str]] | None = Field(description="Pairs of a network in CIDR notation and an action.")
