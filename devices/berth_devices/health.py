"""Judges whether this process is alive and ready, for the kubelet's probes."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from berth_devices.kubelet.plugin import Plugin
from berth_devices.publishing import Publisher
from berth_devices.stock import Stock

STUCK_SECONDS: Final = 120.0
"""A look takes milliseconds, and comes at least once a minute."""


class Health:
    """Answers the probes."""

    def __init__(self, stock: Stock, plugin: Plugin, publisher: Publisher) -> None:
        self._stock = stock
        self._plugin = plugin
        self._publisher = publisher

    def alive(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether the looks go on. A cluster that is out of reach does not count: claims are still unprepared."""
        now = asyncio.get_running_loop().time()
        age = now - (self._stock.looked_at if self._stock.looked_at is not None else now)
        return age < STUCK_SECONDS, {"lastLookSeconds": round(age, 3)}

    def ready(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether the kubelet has the plugin, and the cluster the devices."""
        state = {"registered": self._plugin.registered.is_set(), "published": self._publisher.current}
        return all(state.values()), state
