"""The work queue: keys in, one ``reconcile(key)`` at a time for each key.

Concurrency model: everything runs on one event loop. A fixed number of workers take keys in the order in which they
came, urgent ones before the others (:mod:`berth_operator.engine.priority`). A key that is added while it waits is
there once; one that is added while it is worked on is worked on again afterwards. A failure brings the key back after
a growing delay with jitter; ``reconcile`` may also return the seconds after which it wants the key again. Each key
has at most one timer. News bring a key at once, unless the cluster has refused it often: the news may be of its own
writes.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import structlog

from berth_core.kube.errors import ConflictError, ForbiddenError, InvalidError, UnreadableError
from berth_core.reading import report
from berth_operator.engine import metrics
from berth_operator.engine.priority import Lanes
from berth_operator.errors import NotLeaderError

log = structlog.get_logger(__name__)

FIRST_DELAY: Final = 0.05
LONGEST_DELAY: Final = 30.0
LEADERLESS_DELAY: Final = 0.5
UNREADABLE_DELAY: Final = 30.0
"""Until another look at work that rests on an unreadable object: a change of that object wakes only its own key."""
NOISY_AFTER: Final = 5
"""So many failures in a row, and each as many more, are reported to ``on_stuck`` with their number."""


class Key(NamedTuple):
    """An item of work: its sort, and the object's namespace and name."""

    sort: str
    namespace: str
    name: str


Reconcile = Callable[[Key], Awaitable[float | None]]
Stuck = Callable[[Key, Exception, int], Awaitable[None]]
Urgent = Callable[[Key], bool]


class WorkQueue:
    """A queue of keys with ``workers`` of them worked on at once.

    ``urgent`` is asked of each key that is added, and must be quick.
    """

    def __init__(
        self,
        reconcile: Reconcile,
        *,
        workers: int = 32,
        urgent: Urgent = lambda _: False,
        on_stuck: Stuck | None = None,
    ) -> None:
        self._reconcile = reconcile
        self._urgent = urgent
        self._on_stuck = on_stuck
        self._workers = workers
        self._waiting: Lanes[Key] = Lanes()
        self._ready = asyncio.Semaphore(0)
        """Counts the keys that wait."""
        self._active: dict[Key, float] = {}
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._refused: set[Key] = set()
        """Keys that the cluster refuses again and again; only their timer brings them back."""
        self._open = False

    def add(self, key: Key) -> None:
        """Ask for a pass over the key. Nothing happens while the queue does not run."""
        if not self._open:
            return
        if key in self._active:
            self._again.add(key)
        elif key in self._refused and key in self._timers:
            pass
        elif self._waiting.put(key, asyncio.get_running_loop().time(), first=self._urgent(key)):
            self._ready.release()
        metrics.QUEUE_DEPTH.set(len(self._waiting))

    def add_after(self, key: Key, seconds: float) -> None:
        """Ask for a pass after some time; the earliest of several wishes counts."""
        if not self._open:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(due, self._fire, key)

    @property
    def hurried(self) -> bool:
        """Whether something urgent waits."""
        return self._waiting.hurried

    def oldest_age(self) -> float:
        """Seconds for which the key that was neglected longest has waited or been worked on; 0 when idle."""
        now = asyncio.get_running_loop().time()
        return max((now - since for since in (*self._waiting.times(), *self._active.values())), default=0.0)

    def open(self) -> None:
        """Take keys from now on."""
        self._open = True

    async def run(self) -> None:
        """Work until cancelled; keys that wait then are forgotten."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(self._workers):
                    tasks.create_task(self._work())
        finally:
            self._close()

    def _close(self) -> None:
        self._open = False
        for timer in self._timers.values():
            timer.cancel()
        for state in (self._waiting, self._active, self._again, self._timers, self._failures, self._refused):
            state.clear()
        self._ready = asyncio.Semaphore(0)
        metrics.QUEUE_DEPTH.set(0)

    def _fire(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        # A pass that is cancelled may end with an error of its own, and nobody cancels its worker again.
        while not _is_cancelled():
            await self._ready.acquire()
            key = self._waiting.take()
            self._active[key] = started = loop.time()
            metrics.QUEUE_DEPTH.set(len(self._waiting))
            if timer := self._timers.pop(key, None):
                timer.cancel()
            try:
                await self._attempt(key)
            finally:
                self._active.pop(key, None)
                metrics.RECONCILE_SECONDS.labels(key.sort).observe(loop.time() - started)
            if key in self._again:
                self._again.discard(key)
                self.add(key)

    async def _attempt(self, key: Key) -> None:
        try:
            again_after = await self._reconcile(key)
        except NotLeaderError:
            # Where a late renewal still counts, the queue goes on and nothing else would bring the key back.
            log.info("leadership is over", sort=key.sort, namespace=key.namespace, name=key.name)
            self.add_after(key, LEADERLESS_DELAY)
        except UnreadableError as error:
            report(error)
            self.add_after(key, UNREADABLE_DELAY)
        except Exception as error:  # the boundary of the work queue: one key fails, the others go on
            await self._failed(key, error)
        else:
            self._failures.pop(key, None)
            self._refused.discard(key)
            if again_after is not None:
                self.add_after(key, again_after)

    async def _failed(self, key: Key, error: Exception) -> None:
        count = self._failures[key] = self._failures.get(key, 0) + 1
        delay = min(FIRST_DELAY * 2 ** min(count - 1, 12), LONGEST_DELAY) * random.uniform(0.5, 1.0)  # noqa: S311 (jitter)
        about = {"sort": key.sort, "namespace": key.namespace, "name": key.name, "failures": count}
        if isinstance(error, ConflictError):
            log.debug("somebody wrote in between", **about, retry_in=delay)
        else:
            metrics.RECONCILE_FAILURES.labels(key.sort).inc()
            log.warning("reconcile failed", **about, retry_in=delay, exc_info=error)
        self.add_after(key, delay)
        if count >= NOISY_AFTER and isinstance(error, ForbiddenError | InvalidError):
            self._refused.add(key)
        else:
            self._refused.discard(key)
        if count % NOISY_AFTER == 0 and self._on_stuck is not None:
            try:
                await self._on_stuck(key, error, count)
            except Exception as failure:  # the same boundary: telling about a failure must not end the queue
                log.warning("could not report", **about, exc_info=failure)


def _is_cancelled() -> bool:
    """Whether somebody has cancelled the task that asks."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
