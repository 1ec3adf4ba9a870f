"""Sends what is due, and writes down how it went.

Any number of replicas may run: an attempt belongs to the one that wins the compare-and-swap of the status that
announces it (:mod:`berth_notifier.schedule`). It is made only while the time that was announced for it lasts on this
process's monotonic clock, so that a process that slept does not send beside its successor.
"""

import asyncio
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from berth_core.keys.webhooks import GIVEN_UP
from berth_core.kube.cache import Key, strip_bookkeeping
from berth_core.kube.client import Client
from berth_core.kube.conditions import find
from berth_core.kube.errors import ClusterError, ConflictError, NotFoundError
from berth_core.kube.reflector import Reflector
from berth_core.kube.types import Object
from berth_core.reading import at, read, readable
from berth_core.resources import Delivery
from berth_core.resources.delivery import DeliveryStatus
from berth_notifier import metrics, schedule, targets
from berth_notifier.outcome import Outcome
from berth_notifier.pending import Pending
from berth_notifier.sending import Sender

log = structlog.get_logger(__name__)

DELIVERIES: Final = Delivery.api()
LONGEST_NAP: Final = 30.0
"""Seconds after which times are looked at anew, whatever the clock did meanwhile."""
HOLD: Final = timedelta(seconds=2)
"""Pause of one that could not be claimed: another replica did, or the cluster's API is away."""
RECORD_PAUSE: Final = 1.0
GRACE_SECONDS: Final = 20.0
"""How long attempts under way may go on when the process is told to stop."""


class Notifier:
    """Sends the Deliveries of a cache."""

    def __init__(self, client: Client, deliveries: Reflector[Object], sender: Sender) -> None:
        self._client = client
        self._deliveries = deliveries
        self._cache = deliveries.cache
        self._sender = sender
        self._pending = Pending()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.last_look = time.monotonic()
        """When the loop last looked at what is due."""
        self._cache.listen(self._heard)

    async def run(self) -> None:
        """Send until cancelled; then let attempts under way end."""
        await self._deliveries.synced()
        try:
            while True:
                self._changed.clear()
                self.last_look = time.monotonic()
                now = datetime.now(UTC)
                for key in self._pending.take(now):
                    self._start(key)
                metrics.WAITING.set(len(self._pending))
                await self._nap(now)
        finally:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=GRACE_SECONDS)
            for task in self._tasks:
                task.cancel()

    async def _nap(self, now: datetime) -> None:
        left = self._pending.until_next(now)
        seconds = LONGEST_NAP if left is None or left <= timedelta(0) else min(left.total_seconds(), LONGEST_NAP)
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    def _heard(self, key: Key, before: Object | None, obj: Object | None) -> None:
        self._set(key, read(Delivery, obj) if obj is not None else None)
        # Its state counts for earlier and later Deliveries of its subject.
        for sibling in self._about(key[0], at(obj, "spec", "subject") or at(before, "spec", "subject")):
            if _key_of(sibling) != key:
                self._set(_key_of(sibling), sibling)

    def _about(self, namespace: str, subject: str | None) -> list[Delivery]:
        """All Deliveries of a subject."""
        if subject is None:
            return []
        return readable(Delivery, self._cache.by("subject", str(subject), namespace))

    def _set(self, key: Key, delivery: Delivery | None) -> None:
        due = None
        if delivery is not None:
            due = schedule.due_at(delivery, self._about(key[0], delivery.spec.subject))
        if delivery is None or due is None:
            self._pending.drop(key)
        else:
            self._pending.put(key, due, _host(delivery))
        self._changed.set()

    def _start(self, key: Key) -> None:
        obj = self._cache.get(*key)
        delivery = read(Delivery, obj) if obj is not None else None
        if delivery is None:
            self._pending.drop(key)
            return
        task = asyncio.create_task(self._attempt(key, delivery))
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._changed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("attempt failed", exc_info=error)

    async def _attempt(self, key: Key, delivery: Delivery) -> None:
        with self._pending.under_way(key):
            self._pending.postpone(key, datetime.now(UTC) + HOLD)
            claimed_at = time.monotonic()
            superseded = schedule.is_superseded(delivery, self._about(key[0], delivery.spec.subject))
            try:
                live = await self._write(delivery, schedule.begun(delivery, datetime.now(UTC), superseded=superseded))
            except (ConflictError, NotFoundError):
                return  # another replica's, or deleted: the watch will tell
            except ClusterError as error:
                log.warning("cannot claim", namespace=key[0], name=key[1], error=error.message)
                return
            if schedule.is_over(live):
                _report(live)
                return
            if time.monotonic() - claimed_at > schedule.CLAIM.total_seconds() - schedule.ATTEMPT_SECONDS:
                log.warning("claimed too late to send", namespace=key[0], name=key[1])
                return
            await self._send(key, live, claimed_at)

    async def _send(self, key: Key, live: Delivery, claimed_at: float) -> None:
        started = time.monotonic()
        try:
            outcome = await self._sender.send(live.spec, datetime.now(UTC))
        except (OSError, ValueError) as error:
            # The announced time passes, and the next attempt follows: nothing was sent.
            log.error("cannot sign", error=type(error).__name__)
            return
        metrics.ATTEMPTS.labels(outcome.reason).inc()
        metrics.ATTEMPT_SECONDS.observe(time.monotonic() - started)
        log.info(
            "attempt",
            namespace=key[0],
            name=key[1],
            attempt=live.status.attempts,
            host=_host(live),
            reason=outcome.reason,
            message=outcome.message,
        )
        await self._record(key, live, outcome, claimed_at + schedule.CLAIM.total_seconds())

    async def _record(self, key: Key, live: Delivery, outcome: Outcome, deadline: float) -> None:
        """Write down how an attempt ended, for as long as no other replica may have begun the next."""
        attempt = live.status.attempts
        while time.monotonic() < deadline:
            status = schedule.ended(live, outcome, datetime.now(UTC), random.random())  # noqa: S311 (jitter)
            try:
                written = await self._write(live, status)
            except NotFoundError:
                return
            except ConflictError:
                live = await self._read(key) or live
                if live.status.attempts != attempt or schedule.is_over(live):
                    return
            except ClusterError as error:
                log.warning("cannot record an attempt", namespace=key[0], name=key[1], error=error.message)
                await asyncio.sleep(RECORD_PAUSE)
            else:
                _report(written)
                return
        log.error("how an attempt ended was not recorded; it is made again", namespace=key[0], name=key[1])

    async def _read(self, key: Key) -> Delivery | None:
        try:
            return Delivery.parse(await self._client.get(DELIVERIES, *key))
        except ClusterError as error:
            log.warning("cannot read", namespace=key[0], name=key[1], error=error.message)
            await asyncio.sleep(RECORD_PAUSE)
            return None

    async def _write(self, delivery: Delivery, status: DeliveryStatus) -> Delivery:
        metadata = delivery.metadata
        wire = status.wire()
        body: Object = {
            "metadata": {"resourceVersion": metadata.resource_version},
            "status": wire | {"nextAttempt": wire.get("nextAttempt")},
        }
        answer = await self._client.patch(DELIVERIES, metadata.namespace, metadata.name, body, subresource="status")
        # The watch may have told of somebody's later change already: the cache keeps the newer of the two.
        self._cache.put(strip_bookkeeping(answer))
        return Delivery.parse(answer)


def _report(delivery: Delivery) -> None:
    if schedule.is_over(delivery) and not _delivered(delivery):
        given_up = find(delivery.status.conditions, GIVEN_UP)
        if given_up is not None and given_up.reason == schedule.SUPERSEDED:
            return
        metrics.GIVEN_UP.inc()
        log.warning("given up", namespace=delivery.metadata.namespace, name=delivery.metadata.name)


def _delivered(delivery: Delivery) -> bool:
    return any(c.type == "Delivered" and c.status == "True" for c in delivery.status.conditions)


def _key_of(delivery: Delivery) -> Key:
    return delivery.metadata.namespace, delivery.metadata.name


def _host(delivery: Delivery) -> str:
    """Name of the receiver; the rest of the URL may hold what is secret."""
    try:
        return targets.parse(delivery.spec.url).host
    except targets.TargetError:
        return ""
