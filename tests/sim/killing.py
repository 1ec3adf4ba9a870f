"""``make prove-mutants``: plays histories with each mutant until one breaks an invariant that the code keeps there.

Each mutant has a process of its own. A breach counts where the same history without the mutant has none.
"""

import gc
import importlib
import multiprocessing
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, TypeVar

from . import clocks
from .mutants import MUTANTS
from .mutating import Mutant, install, mutated
from .page import HEAD, Hunt, write

if TYPE_CHECKING:
    from .history import Outcome
    from .plan import Plan

A = TypeVar("A")
R = TypeVar("R")

MOST: Final = 2000
"""Histories in which a mutant must be found."""
ROUNDS: Final = (3, 12, 50)
"""So many are played with each mutant before any is hunted further; the time that is left then is shared out."""
MINUTES: Final = 40.0
"""For all mutants together."""
LIBRARIES: Final = ("aiohttp", "cryptography.x509", "fastapi", "kopf", "orjson", "prometheus_client", "structlog")
"""Modules that the product imports first; imported once for all processes."""
_PARTICULARS: Final = re.compile(r"robot-\d+|k-\d+|r-\d+|[0-9a-f]{8}-[0-9a-f-]{27}")


def kill_all(seed: int) -> int:
    """Hunt all mutants, or those of the variable MUTANTS (numbers); print the table. The exit status.

    With WRITE their rows in the page of the docs are written anew.
    """
    for mutant in MUTANTS:
        mutated(mutant)
    words = os.environ.get("MUTANTS")
    chosen = [MUTANTS[int(word)] for word in words.split(",")] if words else list(MUTANTS)
    most, minutes = int(os.environ.get("HISTORIES") or MOST), float(os.environ.get("MINUTES") or MINUTES)
    with TemporaryDirectory(prefix="berth-mutants-") as compiled:
        if sys.dont_write_bytecode:  # else each process would compile all of the product
            sys.dont_write_bytecode, sys.pycache_prefix = False, compiled
        hunts = _Killing(seed, most, minutes * 60).of(chosen)
    found = sum(hunt.found for hunt in hunts)
    print(f"{found} of {len(hunts)} mutants are found\n{HEAD}{''.join(hunt.row for hunt in hunts)}", end="")
    if os.environ.get("WRITE"):
        write(hunts, MUTANTS, seed)
    return int(found < len(hunts))


def _now() -> float:
    """Seconds of the real clock."""
    seconds: float = clocks.real["monotonic"]()
    return seconds


class _Killing:
    """One run: each hunt in a process that was forked before any of the product was imported."""

    def __init__(self, seed: int, most: int, seconds: float) -> None:
        self._seed = seed
        self._most = most
        self._ends = _now() + seconds
        self._jobs = int(os.environ.get("JOBS") or len(os.sched_getaffinity(0)))
        self._context = multiprocessing.get_context("fork")
        self._waiting = self._context.Value("i", 0)

    def of(self, mutants: list[Mutant]) -> list[Hunt]:
        """Hunt until each is found by a history that breaks nothing without it, or enough was played."""
        for library in LIBRARIES:
            importlib.import_module(library)
        hunts = {mutant.name: Hunt(mutant) for mutant in mutants}
        for most in (*(few for few in ROUNDS if few < self._most), self._most):
            pending = [hunt for hunt in hunts.values() if not hunt.found and hunt.played < most]
            while pending:
                self._waiting.value = len(pending)
                done = []
                for hunt in self._each(partial(self._go_on, most), pending):
                    print(hunt.row, end="", file=sys.stderr, flush=True)
                    done.append(hunt)
                found = [hunt for hunt in done if hunt.found]
                [clean] = self._each(self._are_clean, [found])
                pending = [
                    Hunt(hunt.mutant, hunt.played) for hunt, is_clean in zip(found, clean, strict=True) if not is_clean
                ]
                hunts |= {hunt.mutant.name: hunt for hunt in (*done, *pending)}
        return list(hunts.values())

    def _each(self, work: Callable[[A], R], things: list[A]) -> Iterator[R]:
        """Do some work with each thing in a process of its own, as many at a time as there are jobs."""
        global _work
        _work = work
        with self._context.Pool(min(self._jobs, len(things)), maxtasksperchild=1) as pool:
            yield from pool.imap(_do, things, chunksize=1)

    def _are_clean(self, hunts: list[Hunt]) -> list[bool]:
        """Whether the histories that found mutants break nothing without them."""
        from .sets import played  # the code without a mistake

        return [not played(self._plan(hunt, hunt.played - 1)).violations for hunt in hunts]

    def _plan(self, hunt: Hunt, history: int) -> "Plan":
        from .sets import named

        return named(hunt.mutant.which, self._seed, history, hunt.mutant.classes)

    def _share(self) -> float:
        """Seconds for the next mutant: those that need less leave theirs to the others."""
        with self._waiting.get_lock():
            share: float = max(self._ends - _now(), 0.0) * min(1.0, self._jobs / self._waiting.value)
            self._waiting.value -= 1
        return share

    def _go_on(self, most: int, hunt: Hunt) -> Hunt:
        """Play histories with a mutant in this process until one breaks an invariant, or the time is up."""
        ends = _now() + self._share() if most == self._most else self._ends
        if _now() >= ends:
            return hunt
        install(hunt.mutant)
        from .loops import Scheduler
        from .sets import played

        Scheduler.halts = True
        gc.freeze()
        gc.disable()
        for history in range(hunt.played, most):
            if _now() >= ends:
                return replace(hunt, played=history)
            if what := _broken(partial(played, self._plan(hunt, history))):
                return Hunt(hunt.mutant, history + 1, found=True, what=what)
            if history % 10 == 0:
                gc.collect()
        return replace(hunt, played=most)


def _broken(play: Callable[[], "Outcome"]) -> str:
    """Which invariant a history breaks first; a mistake may also be such that it cannot be played to its end."""
    try:
        violations = play().violations
    except Exception as error:  # where the same history without the mistake fails too, the run does
        return f"crash of the history: {error!r}"
    return _PARTICULARS.sub("*", violations[0][1]) if violations else ""


_work: Callable[[Any], Any]
"""The work of processes that are forked now."""


def _do(thing: Any) -> Any:
    return _work(thing)
