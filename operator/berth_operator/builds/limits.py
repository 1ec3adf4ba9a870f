"""Which builds may go on: the builds that run at a time are limited, and so are those that wait for a machine. Pure.

A build has a place among the running ones from its turn to its end, except while it waits for a machine: so a long wait
blocks no other build. When it gets its machine it goes on at once, even beyond the limit: a machine that is held must
not stand idle. Only some of a user's builds wait for machines at a time, so that a user with many builds does not
precede everybody who comes after the first of them.
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


def may_start(existing: Iterable[Build], limits: Limits) -> list[Build]:
    """Builds whose turn it is to run now, in their order. Users at their limit do not block others."""
    every = list(existing)
    running = [build for build in every if builds.has_place(build)]
    free = limits.concurrent - len(running)
    mine = Counter(build.spec.user for build in running)
    starters: list[Build] = []
    for build in sorted(filter(_is_ready_to_start, every), key=builds.turn):
        if len(starters) >= free:
            break
        if mine[build.spec.user] < limits.per_user:
            mine[build.spec.user] += 1
            starters.append(build)
    return starters


def may_ask(existing: Iterable[Build], limits: Limits) -> list[Build]:
    """Builds that may queue for their machine now, in their order."""
    every = list(existing)
    mine = Counter(build.spec.user for build in every if _reason(build) == builds.WAITING)
    askers: list[Build] = []
    for build in sorted((build for build in every if _reason(build) == builds.POSTPONED), key=builds.turn):
        if mine[build.spec.user] < limits.per_user:
            mine[build.spec.user] += 1
            askers.append(build)
    return askers


def ahead_of(build: Build, existing: Iterable[Build]) -> int:
    """How many of the same user's builds wait for their turn before this one."""
    own = builds.turn(build)
    return sum(
        1
        for other in existing
        if other.spec.user == build.spec.user
        and other.metadata.uid != build.metadata.uid
        and _is_ready_to_start(other)
        and builds.turn(other) < own
    )


def _is_ready_to_start(build: Build) -> bool:
    """Whether it waits for its turn. A build starts only after a pass has begun its attempt in the status."""
    status = build.status
    if status.attempt != build.spec.attempt or builds.is_canceled(build) or build.metadata.deletion_timestamp:
        return False
    return status.start_time is None and status.reason is None


def _reason(build: Build) -> str:
    if not builds.waits_for_machine(build):
        return ""
    ready = conditions.find(build.status.conditions, builds.WORKSPACE_READY)
    return ready.reason if ready else ""
