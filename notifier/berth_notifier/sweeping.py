"""Deletes Deliveries that have been over for a while, and of a user with many of these the oldest; some at a time."""

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from berth_core.kube.cache import Cache
from berth_core.kube.client import Client
from berth_core.kube.errors import ClusterError
from berth_core.kube.reflector import Reflector
from berth_core.kube.types import Object
from berth_core.reading import readable
from berth_core.resources import Delivery
from berth_notifier import metrics, schedule
from berth_notifier.notifying import DELIVERIES

log = structlog.get_logger(__name__)

EVERY_SECONDS: Final = 600.0
MOST_AT_ONCE: Final = 512
"""Deleted in one pass; the rest follows in the next."""
MOST_KEPT: Final = 200
"""Of one user in a namespace, of those that are over."""


async def run(client: Client, deliveries: Reflector[Object], retention: timedelta) -> None:
    """Sweep every ten minutes until cancelled. Replicas may do it at the same time."""
    await deliveries.synced()
    while True:
        try:
            await sweep(client, deliveries.cache, retention, datetime.now(UTC))
        except ClusterError as error:
            log.warning("cannot delete ended Deliveries", error=error.message)
        await asyncio.sleep(EVERY_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311 (jitter)


async def sweep(client: Client, cache: Cache[Object], retention: timedelta, now: datetime) -> int:
    """Delete Deliveries that were over before ``now - retention``, and surplus ones; return how many that were."""
    old = due(readable(Delivery, cache.by("over", "yes")), retention, now)[:MOST_AT_ONCE]
    for delivery in old:
        metadata = delivery.metadata
        await client.delete(DELIVERIES, metadata.namespace, metadata.name, uid=metadata.uid)
    if old:
        metrics.DELETED.inc(len(old))
        log.info("deleted ended Deliveries", deleted=len(old))
    return len(old)


def due(deliveries: list[Delivery], retention: timedelta, now: datetime) -> list[Delivery]:
    """Return Deliveries that have been over for longer than ``retention`` or are too many, the oldest first. Pure."""
    ends = [(since, delivery) for delivery in deliveries if (since := schedule.over_since(delivery)) is not None]
    newer, surplus = Counter[tuple[str, str]](), list[Delivery]()
    for since, delivery in sorted(ends, key=lambda end: end[0], reverse=True):
        whose = delivery.metadata.namespace, delivery.spec.user
        newer[whose] += 1
        if newer[whose] > MOST_KEPT or since + retention <= now:
            surplus.append(delivery)
    return surplus[::-1]
