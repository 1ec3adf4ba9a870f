"""Conditions that all kinds have, and reasons of Events, which ``kubectl describe`` shows."""

from typing import Final

from berth_core.reasons.table import OF_ALL, Conditions, Reason

EVENT: Final = "Event"

TABLES: Final = (
    OF_ALL,
    Conditions(
        "Events",
        {EVENT: "A warning about the object that `kubectl describe` shows."},
        (
            Reason("EndsSoon", (EVENT,), "The instance's time is nearly up.", "Extend it, or save your work."),
            Reason(
                "NoAnswer",
                (EVENT,),
                "The deployment, or the machine of an instance, has stopped to answer the operator's probes.",
                "Follow the message.",
            ),
            Reason(
                "ClockNotTrusted",
                (EVENT,),
                "The operator's clock disagrees with the API server's, so no end by time comes.",
                "Mend the clock of the operator's node.",
            ),
            Reason(
                "ReconcileFailing",
                (EVENT,),
                "The operator's passes over the object keep failing.",
                "Follow the message, or read the operator's log.",
            ),
            Reason(
                "AnotherRelease",
                (EVENT,),
                "Another release of Berth leads in the workspace namespace.",
                "Give each release a workspace namespace of its own.",
            ),
            Reason(
                "NetworkPolicyNotEnforced",
                (EVENT,),
                "The condition NetworkPolicyEnforced of the type has become False.",
                "See that condition.",
            ),
        ),
    ),
)
