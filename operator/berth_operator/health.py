"""Judges whether this process is alive and ready, for the kubelet's probes."""

import time
from collections.abc import Mapping
from typing import Any, Final

from berth_operator.engine import metrics
from berth_operator.engine.world import World
from berth_operator.kinds import DEPLOYMENTS
from berth_operator.leadership.leading import Leadership
from berth_operator.leadership.tenancy import Tenancy

STUCK_SECONDS: Final = 60.0
"""A pass takes milliseconds to seconds. One key neglected for this long means that the process is stuck."""


class Health:
    """Answers the probes."""

    def __init__(self, world: World, leadership: Leadership) -> None:
        self._world = world
        self._leadership = leadership
        self.watching = False
        """Whether the watches have been started."""

    def alive(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether passes go on."""
        age, event = self._world.queue.oldest_age(), self._world.last_event
        return age < STUCK_SECONDS, {
            "leading": self._leadership.held,
            "queueAgeSeconds": round(age, 3),
            "watching": self.watching,
            "clockTrusted": self._world.clock.trusted,
            "lastEventSeconds": None if event is None else round(time.monotonic() - event, 3),
        }

    def ready(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether the watches stand and no other release leads in a workspace namespace."""
        problem = self._world.state(Tenancy).problem
        return self.watching and not problem, {"watching": self.watching, "problem": problem}

    def measure(self) -> None:
        """Set the metrics that are read off rather than counted."""
        metrics.CLOCK_TRUSTED.set(self._world.clock.trusted)
        metrics.QUEUE_AGE.set(self._world.queue.oldest_age())
        offline = dict(self._world.cache[DEPLOYMENTS].counts("offline")).get("yes", 0)
        metrics.MACHINES_OFFLINE.set(offline if self._leadership.held else 0)
