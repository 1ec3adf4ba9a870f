"""Order of builds, and their states for clients, derived from spec and conditions and never stored. Pure."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from berth_core.kube import conditions
from berth_core.queue.order import Turn, turn_of
from berth_core.resources.build import Build

RESOLVED: Final = "Resolved"
"""The commit was found, and its .berth.yml says what to do."""
WORKSPACE_READY: Final = "WorkspaceReady"
"""The build's machine is there; only for builds that need one."""
RUNNING: Final = "Running"
"""The build counts among the builds that run at the same time."""
ENDED: Final = "Ended"
TOLD: Final = "Told"
"""The Delivery of the latest state to the project's receiver was made; only where there is a receiver."""

PASSED: Final = "Passed"
SCRIPT_FAILED: Final = "ScriptFailed"
CANCELED: Final = "Canceled"
"""Values of ``Build.status.reason`` that have words of their own; every other value means ``errored``."""


POSTPONED: Final = "Postponed"
"""Of WorkspaceReady: earlier builds of its user wait for machines; it does not count as running."""
WAITING: Final = "Waiting"
"""Of WorkspaceReady: it waits for a machine in the queue; it does not count as running."""
STARTING: Final = "Starting"
READY: Final = "Ready"
"""Of WorkspaceReady: the machine is its own."""


class Word(StrEnum):
    """States that clients of the HTTP API know."""

    QUEUED = "queued"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    CANCELED = "canceled"


ENDINGS: Final = frozenset({Word.PASSED, Word.FAILED, Word.ERRORED, Word.CANCELED})
_BY_REASON: Final = {PASSED: Word.PASSED, SCRIPT_FAILED: Word.FAILED, CANCELED: Word.CANCELED}


def word(build: Build) -> Word:
    """Return the state of the attempt that the spec wants. A restart counts from the moment of its request."""
    status = build.status
    if status.attempt != build.spec.attempt:
        return Word.CANCELED if is_canceled(build) else Word.QUEUED
    if status.reason is not None:
        return _BY_REASON.get(status.reason, Word.ERRORED)
    if is_canceled(build):
        return Word.CANCELED
    return Word.RUNNING if status.start_time is not None else Word.QUEUED


def is_canceled(build: Build) -> bool:
    """Whether the attempt that the spec wants was canceled."""
    return (build.spec.cancel or 0) >= build.spec.attempt


def has_ended(build: Build) -> bool:
    """Whether nothing is left to do for the attempt that the spec wants."""
    status = build.status
    return status.attempt == build.spec.attempt and conditions.is_true(status.conditions, ENDED)


def has_place(build: Build) -> bool:
    """Whether the build counts among the builds that run at the same time. Builds that wait for a machine do not."""
    status = build.status
    begun = status.start_time is not None and status.end_time is None
    return begun and not waits_for_machine(build)


def waits_for_machine(build: Build) -> bool:
    """Whether the build lacks only its machine, and has not ended."""
    ready = conditions.find(build.status.conditions, WORKSPACE_READY)
    return build.status.reason is None and ready is not None and ready.reason in (POSTPONED, WAITING)


def turn(build: Build) -> Turn:
    """Place of a build in the order of waiting builds; the order is that of reservations."""
    return turn_of(build.metadata, build.status.queued, build.spec.priority)


def positions(builds: Iterable[Build]) -> dict[tuple[str, str], int]:
    """Place of each waiting build in its namespace, by namespace and name. The first is 1."""
    waiting = sorted((build for build in builds if word(build) is Word.QUEUED), key=turn)
    counts: dict[str, int] = {}
    places: dict[tuple[str, str], int] = {}
    for build in waiting:
        namespace = build.metadata.namespace
        counts[namespace] = counts.get(namespace, 0) + 1
        places[namespace, build.metadata.name] = counts[namespace]
    return places
