"""Add-ons of a machine: parts of it that are reached by others than its workspace."""

from typing import Final, Literal

from pydantic import Field

from berth_core.kube.model import Model, Name
from berth_core.resources.base import Rule

Deed = Literal["on", "off", "cycle"]
"""A relay switches power on or off, or off and on again."""
MOST_ADDONS: Final = 8
ADDON_NAME: Final = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
LONGEST_ADDON: Final = 32


class Addon(Model):
    """An add-on of a machine. Other kinds will join; each reads the fields that it names."""

    name: str = Field(
        description="Name of the add-on, once in a deployment.",
        pattern=ADDON_NAME,
        min_length=1,
        max_length=LONGEST_ADDON,
    )
    kind: Literal["relay"] = Field(
        description="relay: a switch of the machine's power, which the keeper works.",
    )
    secret: Name = Field(
        description="relay: Secret in the keeper's namespace that says how to work it. The Secret names the"
        " deployments that may use it."
    )
    on_lease_end: Deed | None = Field(
        None,
        description="relay: its deed at the end of each lease, before the machine is lent again. Absent for none.",
    )


class EndDeed(Model):
    """Deed of a relay at the end of a lease."""

    name: str = Field(description="Name of the add-on.", pattern=ADDON_NAME, min_length=1, max_length=LONGEST_ADDON)
    secret: Name = Field(description="Secret of the add-on.")
    do: Deed = Field(description="Deed of the relay.")


def ends_of(addons: list[Addon]) -> list[EndDeed] | None:
    """Return the deeds of a lease's end; None for none."""
    return [EndDeed(name=a.name, secret=a.secret, do=a.on_lease_end) for a in addons if a.on_lease_end] or None


def addon_rules(at: str) -> tuple[Rule, ...]:
    """Rules of a machine's add-ons at the path of the machine."""
    return (
        Rule(
            at=at,
            rule="!has(self.addons) || self.addons.all(a, self.addons.exists_one(b, b.name == a.name))",
            message=f"{at}.addons has two of one name: give each a name of its own",
        ),
    )
