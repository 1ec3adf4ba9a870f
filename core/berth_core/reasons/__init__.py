"""Conditions of each kind and their reasons in sentences; docs/reference/conditions.md is made from them.

One module a subject, one table a kind. A test compares the tables with the words that the processes use.
"""

from typing import Final

from berth_core.reasons import build, connector, delivery, deployment, events, instance, reservation, workspacetype
from berth_core.reasons.table import Conditions, Reason

__all__ = ["TABLES", "Conditions", "Reason"]

TABLES: Final = (
    *instance.TABLES,
    *deployment.TABLES,
    *workspacetype.TABLES,
    *reservation.TABLES,
    *build.TABLES,
    *delivery.TABLES,
    *connector.TABLES,
    *events.TABLES,
)
"""Tables in the order of the page."""
