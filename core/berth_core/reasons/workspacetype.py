"""Conditions of WorkspaceTypes."""

from typing import Final

from berth_core.reasons.table import WAIT, Conditions, Reason

READY: Final = "Ready"
ID_CONFLICT: Final = "IdConflict"
ENFORCED: Final = "NetworkPolicyEnforced"
_PLUGIN: Final = "Install a network plugin that enforces NetworkPolicy; rules of firewalls hold all the same."

TABLES: Final = (
    Conditions(
        "WorkspaceType",
        {
            READY: "The type can be used.",
            ID_CONFLICT: "An older type has the same `typeName`.",
            ENFORCED: "A probe met what its NetworkPolicy says, in both directions.",
        },
        (
            Reason("Ready", (READY,), "The type can be used."),
            Reason("Retired", (READY,), "`spec.retired`: the type is kept for its history."),
            Reason("Unique", (ID_CONFLICT,), "No older type has the same name."),
            Reason(
                "IdConflict", (ID_CONFLICT, READY), "An older type has the same `typeName`.", "Delete one of the two."
            ),
            Reason("Enforced", (ENFORCED,), "The cluster enforces NetworkPolicy."),
            Reason("NotEnforced", (ENFORCED,), "The cluster enforces no NetworkPolicy.", _PLUGIN),
            Reason("IngressNotEnforced", (ENFORCED,), "The cluster enforces none towards pods.", _PLUGIN),
            Reason("EgressNotEnforced", (ENFORCED,), "The cluster enforces none from pods.", _PLUGIN),
            Reason(
                "NotProbed",
                (ENFORCED,),
                "`networkPolicy.probeInterval` is `off`.",
                "Set it, such as to `1h`, if you want to know.",
            ),
            Reason(
                "ProbeUnreachable",
                (ENFORCED,),
                "The probe's pod runs, and not even the allowed connection came about.",
                "Check that the operator reaches pods in the first workspace namespace.",
            ),
            Reason("ProbeUnsteady", (ENFORCED,), "Connections to the probe's pod met now this and now that.", WAIT),
            Reason(
                "ProbeNotRunning",
                (ENFORCED,),
                "The probe's pod does not run.",
                "Mend what the message says of the pod.",
            ),
            Reason("ProbeFailed", (ENFORCED,), "The probe could not be made.", "Mend what the message says."),
            Reason("NotLeading", (ENFORCED,), "Another replica leads now, and probes.", WAIT),
        ),
    ),
)
