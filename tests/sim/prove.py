"""Plays many histories over all cores, and says what they broke and how fast they went."""

import gc
import hashlib
import multiprocessing
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from . import clocks
from .sets import named, played
from .store.kinds import served

COLLECT_EVERY: Final = 10
_PARTICULARS: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|robot-\d+|k-\d+|r-\d+")


@dataclass(frozen=True)
class Order:
    """Which histories are to be played."""

    which: str
    seed: int
    first: int
    count: int
    faults: tuple[str, ...] | None = None


@dataclass
class Tally:
    """Outcomes of histories, counted."""

    histories: int = 0
    leases: int = 0
    ready: int = 0
    """Instances that were ready."""
    steps: int = 0
    virtual: float = 0.0
    cpu: float = 0.0
    broken: list[int] = field(default_factory=list)
    """Numbers of histories with violations."""
    violations: Counter[str] = field(default_factory=Counter)
    examples: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Tally") -> None:
        """Take over another one's."""
        for name in ("histories", "leases", "ready", "steps", "virtual", "cpu"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.broken += other.broken
        self.violations += other.violations
        for what, number in other.examples.items():
            self.examples[what] = min(number, self.examples.get(what, number))


def run(order: Order) -> Tally:
    """Play histories one after the other in this process."""
    gc.collect()
    gc.freeze()
    gc.disable()
    tally, began = Tally(), clocks.real["process_time"]()
    for number in range(order.first, order.first + order.count):
        outcome = played(named(order.which, order.seed, number, order.faults))
        tally.histories += 1
        tally.leases += outcome.leases
        tally.ready += outcome.ready
        tally.steps += outcome.steps
        tally.virtual += outcome.seconds
        if outcome.violations:
            tally.broken.append(number)
        for _, what in outcome.violations:
            general = _PARTICULARS.sub("*", what)
            tally.violations[general] += 1
            tally.examples.setdefault(general, number)
        del outcome
        if number % COLLECT_EVERY == 0:
            gc.collect()
    tally.cpu = clocks.real["process_time"]() - began
    return tally


def spread(order: Order, processes: int) -> Iterator[Tally]:
    """Play histories in several processes; yields tallies as they come."""
    piece = max(1, min(25, order.count // (processes * 4) or 1))
    orders = [
        Order(order.which, order.seed, first, min(piece, order.first + order.count - first), order.faults)
        for first in range(order.first, order.first + order.count, piece)
    ]
    if processes == 1:
        yield from map(run, orders)
        return
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        yield from pool.imap_unordered(run, orders)


def digest(which: str, seed: int, number: int) -> str:
    """Return what names the trace of a history and all that it leaves in the store: the same in every run."""
    outcome = played(named(which, seed, number, None))
    lines = [repr(line) for line in outcome.stage.cluster.trace]
    store = outcome.stage.cluster.store
    lines += [repr(obj) for plural in sorted(served()) for obj in store.all(plural)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
