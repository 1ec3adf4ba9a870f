"""Writes into Connectors' statuses which links stand: the connection is the machine's heartbeat.

Each replica writes its own links only, by compare-and-swap, and for one connector at most once in WRITE_EVERY, however
its link flaps. A replica's Lease says that it lives; entries of replicas without one are removed by the others.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final

import structlog

from berth_core.connectors.conditions import AT_REST, CONNECTED
from berth_core.kube.client import Client
from berth_core.kube.conditions import Condition, condition, merged
from berth_core.kube.errors import ClusterError, NotFoundError
from berth_core.kube.model import timestamp
from berth_core.kube.swap import swap
from berth_core.resources import Connector
from berth_core.resources.connector import MOST_LINKS, ConnectorStatus, HubLink
from berth_hub import metrics
from berth_hub.links import Linked, Links
from berth_hub.roster import Roster

log = structlog.get_logger(__name__)

WRITE_EVERY: Final = 4.0
"""Seconds between two writes for one connector."""
RETRY: Final = 1.0
LOOK: Final = 0.2


def desired(
    connector: Connector, linked: Linked | None, replica: str, living: Collection[str], now: datetime
) -> Connector:
    """Return the Connector with the status that it should have, by what this replica knows. Pure."""
    status = connector.status
    links = [one for one in status.links if one.replica != replica and one.replica in living]
    conditions: list[Condition] = []
    generation = connector.metadata.generation
    version = status.version
    if linked is not None:
        links.append(HubLink(replica=replica, since=timestamp(linked.since)))
        version = linked.version
        rest = linked.not_at_rest == 0
        message = (
            "" if rest else f"{linked.not_at_rest} machines have yet to be brought to rest by the host's onDisconnect"
        )
        conditions.append(
            condition(AT_REST, rest, "Rested" if rest else "StopFailing", message, now=now, generation=generation)
        )
    links = sorted(links, key=lambda one: one.replica)[:MOST_LINKS]
    if links:
        conditions.append(condition(CONNECTED, True, "Linked", "", now=now, generation=generation))
    elif status.links or linked is not None:
        message = "no link stands: see `berth-connector status` on the host"
        conditions.append(condition(CONNECTED, False, "LinkLost", message, now=now, generation=generation))
    after = status.model_copy(
        update={"links": links, "version": version, "conditions": merged(status.conditions, conditions)}
    )
    return connector.model_copy(update={"status": after})


class Reporter:
    """Writes for one replica. ``living`` names the replicas whose entries may stay, this one among them."""

    def __init__(
        self,
        client: Client,
        roster: Roster,
        replica: str,
        living: Callable[[], Collection[str]],
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._roster = roster
        self._replica = replica
        self._living = living
        self._clock = clock
        self._due: dict[str, float] = {}
        self._written: dict[str, float] = {}
        self.last_look = time.monotonic()

    def changed(self, uid: str) -> None:
        """Have a connector's status written, soon."""
        self._due.setdefault(uid, self._written.get(uid, -WRITE_EVERY) + WRITE_EVERY)

    async def run(self, links: Links) -> None:
        """Write until cancelled."""
        while True:
            self.last_look = now = time.monotonic()
            living = self._living()
            for connector in self._roster.values():
                if any(one.replica not in living for one in connector.status.links) or (
                    links.get(connector.metadata.uid) is None
                    and any(one.replica == self._replica for one in connector.status.links)
                ):
                    self.changed(connector.metadata.uid)
            for uid in [uid for uid, at in self._due.items() if at <= now]:
                del self._due[uid]
                self._written = {known: at for known, at in self._written.items() if at > now - WRITE_EVERY}
                self._written[uid] = now
                await self._report(uid, links)
            await asyncio.sleep(LOOK)

    async def _report(self, uid: str, links: Links) -> None:
        connector = self._roster.get(uid)
        if connector is None:
            return
        namespace, name = connector.metadata.namespace, connector.metadata.name

        async def attempt() -> None:
            live = Connector.parse(await self._client.get(Connector.api(), namespace, name))
            if live.metadata.uid != uid:
                return
            after = desired(live, links.get(uid), self._replica, self._living(), self._clock())
            if after.status != live.status:
                await write(self._client, live, after.status)

        try:
            await swap(attempt, f"Connector {name}")
        except NotFoundError:
            return
        except ClusterError as error:
            log.warning("status not written", connector=name, error=error.message)
            self._due.setdefault(uid, time.monotonic() + RETRY)


async def write(client: Client, live: Connector, status: ConnectorStatus) -> None:
    """Replace the fields of a status that differ, as a compare-and-swap. Raises ClusterError."""
    before, after = live.status.wire(), status.wire()
    change = {name: after.get(name) for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    body = {"metadata": {"resourceVersion": live.metadata.resource_version}, "status": change}
    metrics.WRITES.inc()
    await client.patch(Connector.api(), live.metadata.namespace, live.metadata.name, body, subresource="status")
