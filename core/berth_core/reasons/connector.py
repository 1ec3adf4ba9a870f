"""Conditions of Connectors."""

from typing import Final

from berth_core.connectors.conditions import AT_REST, CONNECTED, ENROLLED
from berth_core.reasons.table import Conditions, Reason

TABLES: Final = (
    Conditions(
        "Connector",
        {
            ENROLLED: "The host has a certificate.",
            CONNECTED: "The host is linked to at least one replica of the hub.",
            AT_REST: "No machine of the host has yet to be brought to rest.",
        },
        (
            Reason("Signed", (ENROLLED,), "The operator signed the host's latest request."),
            Reason(
                "RequestRefused",
                (ENROLLED,),
                "The host's request for a certificate has another form or a weak key.",
                "Run `berth connector enroll` again, with the current connector on the host.",
            ),
            Reason("Linked", (CONNECTED,), "A link stands."),
            Reason("LinkLost", (CONNECTED,), "The last link ended.", "Look at `berth-connector status` on the host."),
            Reason(
                "HubSilent",
                (CONNECTED,),
                "No replica of the hub gives a sign of life.",
                "Look at the pods of the StatefulSet `berth-hub`.",
            ),
            Reason("Rested", (AT_REST,), "The host's command has ended well, or was not needed."),
            Reason(
                "StopFailing",
                (AT_REST,),
                "The link was lost in a lease, and the host's onDisconnect has not ended with 0 yet.",
                "Bring the machine to rest, and see the connector's journal on the host.",
            ),
        ),
    ),
)
