"""A scheduler for coroutines on one thread: wait for a socket or for a time, nothing else.

asyncio would do this too and weighs 4 MB more, a fifth of what an agent may use. Concurrency model: a coroutine runs
until it awaits ``readable``, ``writable`` or ``pause``; no two run at once, so what lies between two awaits needs no
lock.
"""

import selectors
import time
import types
from collections.abc import Coroutine, Generator
from socket import socket
from typing import Any, NamedTuple

_LONGEST_SLEEP = 3600.0


class Wait(NamedTuple):
    """A socket or a time that a coroutine waits for. ``until`` is on the monotonic clock."""

    sock: socket | None
    events: int
    until: float


@types.coroutine
def readable(sock: socket, until: float) -> Generator[Wait, None, None]:
    """Wait until the socket can be read; TimeoutError after ``until`` (monotonic seconds)."""
    yield Wait(sock, selectors.EVENT_READ, until)


@types.coroutine
def writable(sock: socket, until: float) -> Generator[Wait, None, None]:
    """Wait until the socket can be written; TimeoutError after ``until`` (monotonic seconds)."""
    yield Wait(sock, selectors.EVENT_WRITE, until)


@types.coroutine
def pause(until: float) -> Generator[Wait, None, None]:
    """Wait until that moment of the monotonic clock."""
    yield Wait(None, 0, until)


class Task:
    """A running coroutine."""

    __slots__ = ("coroutine", "wait")

    def __init__(self, coroutine: Coroutine[Wait, None, None]) -> None:
        self.coroutine = coroutine
        self.wait: Wait | None = None


class Loop:
    """Runs tasks. A coroutine that raises ends the loop: those that serve strangers handle their own errors."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._tasks: dict[Task, None] = {}

    def spawn(self, coroutine: Coroutine[Any, None, None]) -> Task:
        """Start a coroutine; it runs up to its first wait before this returns."""
        task = Task(coroutine)
        self._tasks[task] = None
        self._step(task)
        return task

    def cancel(self, task: Task) -> None:
        """End a task where it waits; its ``finally`` blocks run."""
        self._settle(task)
        self._tasks.pop(task, None)
        task.coroutine.close()

    def run(self) -> None:
        """Serve until no task is left."""
        while self._tasks:
            now = time.monotonic()
            soonest = min((task.wait.until for task in self._tasks if task.wait), default=now)
            ready = {key.data for key, _ in self._selector.select(min(max(0.0, soonest - now), _LONGEST_SLEEP))}
            now = time.monotonic()
            for task in list(self._tasks):
                if task not in self._tasks or task.wait is None:
                    continue
                if task in ready:
                    self._step(task)
                elif task.wait.until <= now:
                    self._step(task, expired=task.wait.sock is not None)

    def _step(self, task: Task, *, expired: bool = False) -> None:
        self._settle(task)
        try:
            wait = task.coroutine.throw(TimeoutError()) if expired else task.coroutine.send(None)
        except StopIteration:
            self._tasks.pop(task, None)
            return
        task.wait = wait
        if wait.sock is not None:
            self._selector.register(wait.sock, wait.events, task)

    def _settle(self, task: Task) -> None:
        if task.wait is not None and task.wait.sock is not None:
            self._selector.unregister(task.wait.sock)
        task.wait = None
