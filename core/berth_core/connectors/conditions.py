"""Conditions of Connectors."""

from typing import Final

ENROLLED: Final = "Enrolled"
CONNECTED: Final = "Connected"
AT_REST: Final = "AtRest"
