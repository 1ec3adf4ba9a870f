"""Virtual time: one event loop for each simulated process, and a scheduler that steps them by seeded choices.

Concurrency model: one thread. The scheduler advances the time to the next event of the world or step of a
loop, and chooses by the seed among events of the same moment. A loop that is not stepped is a
process that was stopped (SIGSTOP); where its own clocks stand still too, a machine that was paused.
"""

import asyncio
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVarTuple

BEGIN: Final = datetime(2026, 3, 1, tzinfo=UTC)
"""Wall-clock time of the world's second 0."""
BOOTED: Final = 1000.0
"""Monotonic time of every process then."""

Args = TypeVarTuple("Args")

MOST_STEPS: Final = 500_000
"""Of one history, which has some 15,000: more are a livelock."""
LEAST_SECONDS: Final = 1e-6
"""Least time that any code takes: else a wait for a rest that rounding left would never end."""
THREAD_SECONDS: Final = (0.01, 0.3)

running: "Loop | None" = None
"""The process whose code runs now; None while the world itself does."""


class Task(asyncio.Task[Any]):
    """Hashes alike in every run, so that sets of tasks have one order."""

    def __init__(self, coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any], number: int, **kw: Any) -> None:
        self.number = number
        super().__init__(coro, **kw)

    def __hash__(self) -> int:
        return self.number


class Loop(asyncio.AbstractEventLoop):
    """The event loop of one process, with its clocks."""

    def __init__(self, world: "Scheduler", name: str) -> None:
        self.world = world
        self.name = name
        self.frozen = 0
        """How many faults stop it."""
        self.dead = False
        self.missed = 0.0
        """Seconds that its monotonic clock has missed."""
        self.skew = 0.0
        """Seconds by which its wall clock is ahead."""
        self.failures: list[str] = []
        """Errors that nobody caught."""
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count(1)

    # ---- clocks

    def time(self) -> float:
        return self.world.now - self.missed + BOOTED

    def wall(self) -> datetime:
        return BEGIN + timedelta(seconds=self.world.now + self.skew)

    # ---- what the scheduler asks

    def step(self) -> None:
        """Run what is due, as one iteration of asyncio's own loop does."""
        global running
        ready, timers, now = self._ready, self._timers, self.time() + 1e-9
        while timers and timers[0][0] <= now:
            timer = heapq.heappop(timers)[2]
            if not timer.cancelled():
                ready.append(timer)
        running = self
        asyncio._set_running_loop(self)
        try:
            for _ in range(len(ready)):
                handle = ready.popleft()
                if not handle._cancelled:
                    handle._run()
        finally:
            asyncio._set_running_loop(None)
            running = None

    # ---- what tasks and futures ask

    def call_soon(
        self, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.TimerHandle:
        when = max(when, self.time() + LEAST_SECONDS)
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers leave the heap when their time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]  # typeshed has type variables here
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        number = next(self._numbers)
        return Task(coro, number, loop=self, name=name or f"t{number}", context=context)

    def run_in_executor(  # type: ignore[override]  # typeshed has type variables here
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Take the time of a thread: the result is there a while later."""
        future, result = self.create_future(), func(*args)

        def settle() -> None:
            if not future.done():
                future.set_result(result)

        self.call_later(self.world.random.uniform(*THREAD_SECONDS), settle)
        return future

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return running is self

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.dead:
            self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")


class Scheduler:
    """Time, the processes and what else happens. ``random`` decides everything that may go either way."""

    halts = False
    """Whether a history goes on no more once something is violated."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.loops: list[Loop] = []
        self.steps = 0
        self.halted = False
        self.over = False
        """Whether the history has ended."""
        self.failures: list[str] = []
        """Errors that nobody caught, of processes that were killed since."""
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()

    def at(self, delay: float, event: Callable[[], object]) -> None:
        """Have something happen after some seconds."""
        heapq.heappush(self._events, (self.now + delay, next(self._numbers), event))

    def wall(self) -> datetime:
        """Return the right time."""
        return BEGIN + timedelta(seconds=self.now)

    def loop(self, name: str) -> Loop:
        """Return the loop of a new process."""
        made = Loop(self, name)  # type: ignore[abstract]  # the rest nobody asks for
        self.loops.append(made)
        return made

    def kill(self, loop: Loop) -> None:
        """End a process at once. Its tasks stay as they are, so that nothing of it runs any more."""
        loop.dead = True
        self.failures += loop.failures
        self.loops.remove(loop)

    def run(self, until: float) -> None:
        """Go on to a time. A history that takes far too many steps goes on no more."""
        events = self._events
        choices: list[Loop | None] = []
        while True:
            soonest = events[0][0] if events else until + 1.0
            choices = [None] if events else []
            for loop in self.loops:  # the innermost loop of all: it calls nothing that it need not
                if loop.frozen:
                    continue
                if loop._ready:
                    at = self.now
                else:
                    timers = loop._timers
                    while timers and timers[0][2]._cancelled:
                        heapq.heappop(timers)
                    if not timers:
                        continue
                    at = timers[0][0] + loop.missed - BOOTED
                if at < soonest:
                    soonest, choices = at, [loop]
                elif at == soonest:
                    choices.append(loop)
            if soonest > until:
                self.now = max(self.now, until)
                return
            if soonest > self.now:
                self.now = soonest
            chosen = choices[0] if len(choices) == 1 else self.random.choice(choices)
            if chosen is None:
                heapq.heappop(events)[2]()
            else:
                chosen.step()
            self.steps += 1
            if self.halted or self.steps > MOST_STEPS:
                return
