"""Does what Relays ask for, and writes down how it went.

Each Relay has a task of its own, so no relay that is slow holds up another. Any number of processes may run: an attempt
belongs to the one that wins the compare-and-swap of the status that announces it (:mod:`berth_keeper.schedule`). It
begins in the first half of the announced time only, by this process's monotonic clock. So a process that slept does not
work a relay beside its successor.
"""

import asyncio
import time
from typing import Final

import structlog

from berth_core.kube.cache import Key
from berth_core.kube.client import Client
from berth_core.kube.errors import ClusterError, ConflictError, NotFoundError
from berth_core.kube.reflector import Reflector
from berth_core.kube.types import Object
from berth_core.machines.relays import USABLE, verdict
from berth_core.reading import read
from berth_core.resources import Relay
from berth_core.resources.machines.relay import RelayRequest, RelayStatus
from berth_keeper import metrics, outcome, schedule, switching
from berth_keeper.lookup import Lookup
from berth_keeper.outcome import Outcome
from berth_keeper.secret import UnusableError

log = structlog.get_logger(__name__)

RELAYS: Final = Relay.api()
MOST_AT_ONCE: Final = 32
EVERY_SECONDS: Final = 10.0
"""When to see that each Relay has its task."""
LOOK_AGAIN: Final = {True: 600.0, False: 20.0}
"""Seconds after which the Secret of a relay is looked at again, by whether it could be used."""
RECORD_PAUSE: Final = 1.0
GRACE_SECONDS: Final = 20.0
"""How long attempts under way may go on when the process is told to stop."""
_CLAIM_SECONDS: Final = schedule.CLAIM.total_seconds()


class Keeper:
    """Keeps the Relays of a cache."""

    def __init__(self, client: Client, relays: Reflector[Object], lookup: Lookup) -> None:
        self._client = client
        self._relays = relays
        self._lookup = lookup
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._news: dict[Key, asyncio.Event] = {}
        self._attempting: set[Key] = set()
        self._open = False
        self.last_look = time.monotonic()
        """When the loop last looked whether each Relay has its task."""
        relays.cache.listen(self._heard)

    async def run(self) -> None:
        """Keep relays until cancelled; then let attempts under way end."""
        await self._relays.synced()
        self._open = True
        try:
            while True:
                self.last_look = time.monotonic()
                for obj in list(self._relays.cache):
                    self._tend((obj["metadata"]["namespace"], obj["metadata"]["name"]))
                metrics.RELAYS.set(len(self._tasks))
                await asyncio.sleep(EVERY_SECONDS)
        finally:
            self._open = False
            for key, task in self._tasks.items():
                if key not in self._attempting:
                    task.cancel()
            if self._tasks:
                _, late = await asyncio.wait(self._tasks.values(), timeout=GRACE_SECONDS)
                for task in late:
                    task.cancel()

    def _heard(self, key: Key, _before: Object | None, _after: Object | None) -> None:
        self._tend(key)
        if (news := self._news.get(key)) is not None:
            news.set()

    def _tend(self, key: Key) -> None:
        """See that a Relay has its task."""
        if not self._open or key in self._tasks or self._relays.cache.get(*key) is None:
            return
        self._news[key] = asyncio.Event()
        task = self._tasks[key] = asyncio.create_task(self._keep(key))
        task.add_done_callback(lambda ended: self._ended(key, ended))

    def _ended(self, key: Key, task: asyncio.Task[None]) -> None:
        del self._tasks[key], self._news[key]
        if not task.cancelled() and (error := task.exception()) is not None:  # it begins anew with the next look
            log.error("keeping a relay failed", namespace=key[0], name=key[1], exc_info=error)

    async def _keep(self, key: Key) -> None:
        """Do what one Relay asks for, until it is gone."""
        loop, news = asyncio.get_running_loop(), self._news[key]
        look_at, rests = loop.time(), _Rest()
        while self._open:
            news.clear()
            relay = self._relay(key)
            if relay is None:
                return
            now, wait = self._client.clock.now(), LOOK_AGAIN[True]
            request, due = schedule.wanted(relay, now), schedule.due_at(relay, now)
            try:
                if request is not None and due is not None:
                    wait = max((due - now).total_seconds(), rests.left(request, loop.time()))
                    if wait <= 0:
                        rests = _Rest(request.number, await self._attempt(key, relay, request))
                        continue
                if look_at <= loop.time() or verdict(relay) is None:
                    look_at = loop.time() + LOOK_AGAIN[await self._judge(relay)]
                    continue
            except (ConflictError, NotFoundError):
                await self._refresh(key)
                continue
            except ClusterError as error:
                log.warning("cannot go on", namespace=key[0], name=key[1], error=error.message)
                await asyncio.sleep(RECORD_PAUSE)
                continue
            await _hear(news, min(wait, look_at - loop.time()))

    async def _judge(self, relay: Relay) -> bool:
        """Write down whether the relay can be worked, where that has changed."""
        try:
            await self._lookup.credentials(relay)
        except UnusableError as error:
            reason, message = error.reason, error.message
        else:
            reason, message = USABLE, "its Secret says how to work it"
        await self._write(relay, schedule.judged(relay, reason, message, self._client.clock.now()))
        return reason == USABLE

    async def _attempt(self, key: Key, relay: Relay, request: RelayRequest) -> float:
        """Make one attempt; the time (of the event loop) before which there is no other."""
        async with self._places:
            self._attempting.add(key)
            try:
                began = time.monotonic()
                live = await self._write(relay, schedule.begun(relay, request, self._client.clock.now()))
                result = await self._worked(live, request, began)
                if result is not None:
                    metrics.ATTEMPTS.labels(result.reason).inc()
                    metrics.ATTEMPT_SECONDS.observe(time.monotonic() - began)
                    log.info(
                        "attempt",
                        namespace=key[0],
                        name=key[1],
                        do=request.do,
                        epoch=request.epoch,
                        attempt=live.status.attempts,
                        reason=result.reason,
                        message=result.message,
                    )
                    await self._record(key, live, result, began + _CLAIM_SECONDS)
                return asyncio.get_running_loop().time() + schedule.pause(live.status.attempts)
            finally:
                self._attempting.discard(key)

    async def _worked(self, relay: Relay, request: RelayRequest, began: float) -> Outcome | None:
        """Work the relay; None where so much of the announced time is over that another process may be next."""
        try:
            credentials = await self._lookup.credentials(relay)
            if time.monotonic() - began > _CLAIM_SECONDS - switching.ATTEMPT_SECONDS:
                return None
            return await switching.work(credentials, request.do, self._lookup.networks)
        except UnusableError as error:
            return Outcome(error.reason, error.message)
        except ClusterError:
            return Outcome(outcome.UNREAD, "the relay's Secret could not be read")

    async def _record(self, key: Key, relay: Relay, result: Outcome, deadline: float) -> None:
        """Write down how an attempt ended, for as long as no other process may have begun the next."""
        claim = relay.status.number, relay.status.attempts
        while time.monotonic() < deadline:
            try:
                await self._write(relay, schedule.ended(relay, result, self._client.clock.now()))
            except NotFoundError:
                return
            except ConflictError:
                # The operator has asked for something else meanwhile: the outcome of this attempt counts all the same.
                await self._refresh(key)
                live = self._relay(key)
                if live is None or (live.status.number, live.status.attempts) != claim:
                    return
                relay = live
            except ClusterError as error:
                log.warning("cannot record an attempt", namespace=key[0], name=key[1], error=error.message)
                await asyncio.sleep(RECORD_PAUSE)
            else:
                return
        log.error("the outcome of an attempt was not recorded; it is made again", namespace=key[0], name=key[1])

    def _relay(self, key: Key) -> Relay | None:
        obj = self._relays.cache.get(*key)
        return read(Relay, obj) if obj is not None else None

    async def _refresh(self, key: Key) -> None:
        known = self._relays.cache.get(*key)
        try:
            self._relays.cache.put(await self._client.get(RELAYS, *key))
        except NotFoundError:
            if known is not None:
                self._relays.cache.remove(known)
        except ClusterError as error:
            log.warning("cannot read", namespace=key[0], name=key[1], error=error.message)
            await asyncio.sleep(RECORD_PAUSE)

    async def _write(self, relay: Relay, status: RelayStatus) -> Relay:
        """Write a status at the version that it was decided on; nothing where it says nothing new."""
        if status == relay.status:
            return relay
        metadata, wire = relay.metadata, status.wire()
        body: Object = {
            "metadata": {"resourceVersion": metadata.resource_version},
            "status": wire | {"attemptUntil": wire.get("attemptUntil")},
        }
        answer = await self._client.patch(RELAYS, metadata.namespace, metadata.name, body, subresource="status")
        self._relays.cache.put(answer)
        return Relay.parse(answer)


class _Rest:
    """Pause after an attempt at a request; another request does not wait for it."""

    def __init__(self, number: int | None = None, until: float = 0.0) -> None:
        self._number = number
        self._until = until

    def left(self, request: RelayRequest, now: float) -> float:
        """Seconds until the next attempt at a request."""
        return self._until - now if request.number == self._number else 0.0


async def _hear(news: asyncio.Event, seconds: float) -> None:
    """Wait for news, at most so long."""
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            await news.wait()
    except TimeoutError:
        return
