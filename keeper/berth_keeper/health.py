"""Judges whether this process is alive and ready, for the kubelet's probes."""

import time
from collections.abc import Mapping
from typing import Any, Final

from berth_core.kube.reflector import Reflector
from berth_core.kube.types import Object
from berth_keeper.keeping import EVERY_SECONDS, Keeper

STUCK_SECONDS: Final = EVERY_SECONDS + 30.0
BROKEN_SECONDS: Final = 60.0
"""A watch that is broken for longer makes the process not ready: it would hear of no request."""


class Health:
    """Answers the probes."""

    def __init__(self, keeper: Keeper, relays: Reflector[Object]) -> None:
        self._keeper = keeper
        self._relays = relays

    def alive(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether the loop goes on."""
        age = time.monotonic() - self._keeper.last_look
        return age < STUCK_SECONDS or not self._relays.is_synced, {"lastLookSeconds": round(age, 3)}

    def ready(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether all Relays were listed, and news of them arrive."""
        broken = self._relays.broken_for(time.monotonic())
        well = self._relays.is_synced and broken < BROKEN_SECONDS
        return well, {"listed": self._relays.is_synced, "brokenSeconds": round(broken, 1)}
