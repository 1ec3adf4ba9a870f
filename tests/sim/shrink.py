"""Makes a failing history small: leaves parts of its plan out as long as it breaks the same invariant."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from .history import Outcome
from .plan import Event, Plan
from .sets import played

MOST_RUNS: Final = 200


def shrunk(outcome: Outcome, said: Callable[[str], object], most: int = MOST_RUNS) -> Outcome:
    """Return the smallest history that was found, by leaving out ever smaller pieces (ddmin)."""
    wanted = outcome.violations[0][1].partition(":")[0]
    best, runs = outcome, 0
    size = max(len(best.plan.events) // 2, 1)
    while runs < most:
        smaller = None
        for without in _pieces(best.plan.events, size):
            runs += 1
            tried = played(_with(best.plan, without))
            if any(what.partition(":")[0] == wanted for _, what in tried.violations):
                smaller = tried
                break
            if runs >= most:
                break
        if smaller is not None:
            best = smaller
            said(f"{len(best.plan.events)} of {len(outcome.plan.events)} events, after {runs} runs")
            size = min(size, max(len(best.plan.events), 1))
        elif size == 1:
            break
        else:
            size = max(size // 2, 1)
    return best


def _pieces(events: tuple[Event, ...], size: int) -> list[tuple[Event, ...]]:
    return [events[:first] + events[first + size :] for first in range(0, len(events), size)]


def _with(plan: Plan, events: tuple[Event, ...]) -> Plan:
    return replace(plan, events=events)
