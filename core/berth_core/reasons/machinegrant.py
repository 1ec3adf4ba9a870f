"""Conditions of MachineGrants."""

from typing import Final

from berth_core.machines import placement
from berth_core.reasons.table import Conditions, Reason

READY: Final = "Ready"

TABLES: Final = (
    Conditions(
        "MachineGrant",
        {READY: "All that the grant names can be used."},
        (
            Reason("Usable", (READY,), "All that the grant names can be used."),
            Reason(
                placement.OUTSIDE,
                (READY,),
                "A network of the grant does not lie in `instances.machineCidrs`: machines there are not lent.",
                "Add the network to `instances.machineCidrs`, or grant a part of it.",
            ),
            Reason(
                placement.OUT_OF_REACH,
                (READY,),
                "A network of the grant lies where nobody reaches a machine, such as in the cluster's own.",
                "Grant another network.",
            ),
            Reason(
                "UnknownType",
                (READY,),
                "The namespace has no such type, or it is retired.",
                "Make the WorkspaceType, or correct `spec.types`.",
            ),
        ),
    ),
)
