"""Sees to it that no Connector stays Connected by the word of replicas of the hub that are gone.

A replica removes entries of other replicas that are gone. This is for the case in which none is left. It costs nothing
where no Connector is linked.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from berth_core.connectors.conditions import CONNECTED
from berth_core.kube.conditions import condition, is_true, merged
from berth_core.kube.errors import ClusterError, ConflictError, NotFoundError
from berth_core.reading import readable
from berth_core.resources import Connector
from berth_core.resources.connector import ConnectorStatus
from berth_operator.engine.world import TermState, World
from berth_operator.engine.writes import write_status
from berth_operator.kinds import CONNECTORS, LEASES

log = structlog.get_logger(__name__)

EVERY_SECONDS: Final = 2.0
SILENT_SECONDS: Final = 7.0


@dataclass
class Heard(TermState):
    """When each replica's Lease was last seen renewed: the time that it wrote, and this process's monotonic clock."""

    replicas: dict[str, tuple[str, float]] = field(default_factory=dict)

    def clear(self) -> None:
        """Drop everything: another process leads."""
        self.replicas.clear()

    def note(self, replica: str, renewal: str, now: float) -> None:
        """Take note of a Lease as it is now; empty where there is none."""
        if self.replicas.get(replica, ("", 0.0))[0] != renewal or replica not in self.replicas:
            self.replicas[replica] = renewal, now

    def silent(self, now: float) -> frozenset[str]:
        """Replicas that have not renewed for SILENT_SECONDS."""
        return frozenset(name for name, (_, at) in self.replicas.items() if now - at >= SILENT_SECONDS)


def without(connector: Connector, silent: frozenset[str], now: datetime) -> ConnectorStatus:
    """Return the status where all replicas that linked the host are silent; else it is as it was. Pure."""
    status = connector.status
    if not status.links or any(one.replica not in silent for one in status.links):
        return status
    message = "no replica of the hub gives a sign of life: look at the pods of the StatefulSet berth-hub"
    generation = connector.metadata.generation
    new = condition(CONNECTED, "Unknown", "HubSilent", message, now=now, generation=generation)
    return status.model_copy(update={"links": [], "conditions": merged(status.conditions, [new])})


async def run(world: World) -> None:
    """Look for as long as this process leads."""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        linked = [
            one
            for one in readable(Connector, list(world.cache[CONNECTORS]))
            if one.status.links and is_true(one.status.conditions, CONNECTED)
        ]
        try:
            await _look(world, linked)
        except ClusterError as error:
            log.warning("the hub's replicas cannot be looked at", error=error.message)


async def _look(world: World, linked: list[Connector]) -> None:
    heard = world.state(Heard)
    for replica in sorted({one.replica for connector in linked for one in connector.status.links}):
        heard.note(replica, await _renewal(world, replica), time.monotonic())
    silent = heard.silent(time.monotonic())
    for connector in linked:
        status = without(connector, silent, world.now())
        try:
            await write_status(world, connector, connector.status, status)
        except (ConflictError, NotFoundError):  # the watch brings what is there now
            continue


async def _renewal(world: World, replica: str) -> str:
    try:
        lease = await world.client.get(LEASES, world.config.namespace, replica)
    except NotFoundError:
        return ""
    spec: Mapping[str, object] = lease.get("spec") or {}
    return str(spec.get("renewTime"))
