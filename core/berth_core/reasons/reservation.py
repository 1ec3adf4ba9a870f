"""Conditions of Reservations."""

from typing import Final

from berth_core.queue.order import FULFILLED, NOTIFIED, WAITING
from berth_core.reasons.table import Conditions, Reason

_BOTH: Final = (WAITING, FULFILLED)

TABLES: Final = (
    Conditions(
        "Reservation",
        {
            WAITING: "The reservation's turn has not come.",
            FULFILLED: "The reservation has its instance. False: its turn came, and no instance could be made.",
            NOTIFIED: "The Delivery of the webhook was made; only with `spec.eventUrl`.",
        },
        (
            Reason(
                "Waiting",
                (WAITING,),
                "The turn has not come, or the user has as many leases as the quota allows.",
                "Wait, or end another instance. The message says which of both.",
            ),
            Reason("Fulfilled", _BOTH, "The instance is made; the message names it and its deployment."),
            Reason(
                "LeaseLost",
                _BOTH,
                "The lease went back before the instance was made, such as by `berth release`.",
                "Reserve again.",
            ),
            Reason(
                "NameTaken",
                _BOTH,
                "Another Instance has the name that follows from the reservation.",
                "Delete that Instance if it is not needed, and reserve again.",
            ),
            Reason(
                "InstanceRefused",
                _BOTH,
                "The cluster refuses `spec.instance`, by a schema, a policy or a quota.",
                "Correct what the message says, and reserve again.",
            ),
            Reason("DeliveryMade", (NOTIFIED,), "The Delivery is made; its own status says how it went."),
            Reason(
                "DeliveryRefused",
                (NOTIFIED,),
                "The cluster refuses the Delivery, such as beyond a quota.",
                "Look at the API for the turn; correct what the message says for the next.",
            ),
        ),
    ),
)
