"""Decides the status of a MachineGrant. Pure."""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Final

from berth_core.kube.conditions import condition, merged
from berth_core.machines.placement import Fault, Grounds
from berth_core.resources import MachineGrant
from berth_core.resources.machines.grant import MachineGrantStatus

READY: Final = "Ready"
UNKNOWN_TYPE: Final = "UnknownType"
SHOWN: Final = 4


def grant_status(
    grant: MachineGrant, types: Collection[str], grounds: Grounds, registered: int, now: datetime
) -> MachineGrantStatus:
    """Return the status of a grant.

    ``types`` are the typeNames of its namespace, without retired ones. ``registered`` is the number of machines in the
    grant, without retired ones.
    """
    generation, faults = grant.metadata.generation, list(_useless(grant, types, grounds))
    verdict = (True, "Usable", "all that it grants can be used")
    if faults:
        more = f"; {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        verdict = (False, faults[0].reason, "; ".join(one.message for one in faults[:SHOWN]) + more)
    ready = condition(READY, *verdict, now=now, generation=generation)
    return grant.status.model_copy(
        update={
            "observed_generation": generation,
            "deployments": registered,
            "conditions": merged(grant.status.conditions, [ready]),
        }
    )


def _useless(grant: MachineGrant, types: Collection[str], grounds: Grounds) -> Iterator[Fault]:
    """Yield the parts of a grant with which nobody can register a machine that is lent."""
    for entry in grant.spec.networks:
        (network,) = entry.reached().networks
        if (fault := grounds.useless(network)) is not None:
            yield fault
    for name in grant.spec.types:
        if name not in types:
            yield Fault(UNKNOWN_TYPE, f"there is no type {name} in {grant.metadata.namespace}: make it, or correct it")
