"""Which builds may go on: those that run at the same time are few, and so are those that wait for a machine. Pure.

A build has a place among those that run from its turn to its end, but for the time in which it waits for a machine:
so it holds nobody up, however long that takes. When it gets its machine it goes on at once, even where that is one more
than may run: a machine that somebody holds is not to stand idle. Of one user's builds only some wait for machines at a
time, so that he is not ahead of everybody who comes after his first.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from berth_core import builds
from berth_core.kube import conditions
from berth_core.resources import Build


@dataclass(frozen=True)
class Limits:
    """How many builds of a namespace, and of one user in it."""

    concurrent: int
    per_user: int


def may_start(known: Iterable[Build], limits: Limits) -> list[Build]:
    """Those whose turn it is to run now, in their order; a user at his limit holds nobody up."""
    every = list(known)
    running = [build for build in every if builds.has_place(build)]
    free = limits.concurrent - len(running)
    mine = Counter(build.spec.user for build in running)
    chosen: list[Build] = []
    for build in sorted(filter(_is_ready_to_start, every), key=builds.turn):
        if len(chosen) >= free:
            break
        if mine[build.spec.user] < limits.per_user:
            mine[build.spec.user] += 1
            chosen.append(build)
    return chosen


def may_ask(known: Iterable[Build], limits: Limits) -> list[Build]:
    """Those that may queue for their machine now, in their order."""
    every = list(known)
    mine = Counter(build.spec.user for build in every if _reason(build) == builds.WAITING)
    chosen: list[Build] = []
    for build in sorted((build for build in every if _reason(build) == builds.POSTPONED), key=builds.turn):
        if mine[build.spec.user] < limits.per_user:
            mine[build.spec.user] += 1
            chosen.append(build)
    return chosen


def ahead_of(build: Build, known: Iterable[Build]) -> int:
    """How many of the same user's builds wait for their turn before this one."""
    own = builds.turn(build)
    return sum(
        1
        for other in known
        if other.spec.user == build.spec.user
        and other.metadata.uid != build.metadata.uid
        and _is_ready_to_start(other)
        and builds.turn(other) < own
    )


def _is_ready_to_start(build: Build) -> bool:
    """Whether it waits for its turn. Only what a pass has looked at is started: it knows which attempt it is."""
    status = build.status
    if status.attempt != build.spec.attempt or builds.is_canceled(build) or build.metadata.deletion_timestamp:
        return False
    return status.start_time is None and status.reason is None


def _reason(build: Build) -> str:
    if not builds.waits_for_machine(build):
        return ""
    found = conditions.find(build.status.conditions, builds.WORKSPACE_READY)
    return found.reason if found else ""
