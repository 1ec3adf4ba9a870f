"""Judges whether this process is alive and ready, for the kubelet's probes."""

import time
from collections.abc import Mapping
from typing import Any, Final

from berth_core.kube.reflector import Reflector
from berth_core.kube.types import Object
from berth_notifier.notifying import LONGEST_NAP, Notifier

STUCK_SECONDS: Final = LONGEST_NAP + 30.0
"""The loop looks at what is due at least every LONGEST_NAP."""


class Health:
    """Answers the probes."""

    def __init__(self, notifier: Notifier, deliveries: Reflector[Object]) -> None:
        self._notifier = notifier
        self._deliveries = deliveries

    def alive(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether the loop goes on."""
        age = time.monotonic() - self._notifier.last_look
        return age < STUCK_SECONDS or not self._deliveries.is_synced, {"lastLookSeconds": round(age, 3)}

    def ready(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether all Deliveries were listed."""
        return self._deliveries.is_synced, {"listed": self._deliveries.is_synced}
