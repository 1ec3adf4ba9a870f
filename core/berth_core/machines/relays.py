"""Words of a Relay's request and status. Pure."""

from typing import Final

from berth_core.kube.conditions import Condition, find
from berth_core.resources import Relay

USABLE: Final = "Usable"
DONE: Final = "Done"
"""Conditions of a Relay."""
NOTHING: Final = "nothing"
"""A request that no attempt follows."""


def verdict(relay: Relay) -> Condition | None:
    """Return whether the keeper can work the relay; None where it has not looked yet."""
    return find(relay.status.conditions, USABLE)


def outcome(relay: Relay) -> Condition | None:
    """Return how far the latest request is; None where no attempt at it has begun."""
    request = relay.spec.request
    if request is None or relay.status.number != request.number:
        return None
    return find(relay.status.conditions, DONE)


def is_done(relay: Relay) -> bool:
    """Whether the latest request was done."""
    known = outcome(relay)
    return known is not None and known.status == "True"
