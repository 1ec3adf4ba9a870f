"""An instance's firewall."""

from contextlib import suppress
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from berth_api.http.bodies import Options, said
from berth_core.firewall.model import parse_source


def cidr(source: object) -> str:
    """Return the text of an address or a subnet in CIDR notation. Raises ValueError for anything else."""
    if isinstance(source, str):
        with suppress(ValueError):
            return str(parse_source(source))
    raise ValueError("must be an IPv4 address or subnet in CIDR notation")


Cidr = Annotated[str, BeforeValidator(cidr), WithJsonSchema({"type": "string", "format": "cidr"})]
Action = Literal["ACCEPT", "DROP", "REJECT"]


class FirewallRequest(Options):
    """A rule to append."""

    src: Cidr | None = Field(None, description="Address or CIDR; the caller's without it.")
    action: Annotated[Action, said("not recognized")] = Field("ACCEPT", description="Verdict on the packet.")


class FirewallRules(BaseModel):
    """Rules in the order of their evaluation; null while there is no chain yet."""

    rules: list[list[str]] | None = Field(description="Pairs of a network in CIDR notation and an action.")
