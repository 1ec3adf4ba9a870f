"""Judges by the outcomes of probes whether a machine is reachable. Pure, and without a clock."""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from berth_core.kube.conditions import Condition, Status
from berth_core.resources.workspacedeployment import Health
from berth_operator.presence.target import Problem, Target

ANSWERS: Final = "Answers"
NO_ANSWER: Final = "NoAnswer"
AWAITED: Final = "AnswerAwaited"


class Outcome(NamedTuple):
    """Result of one probe; ``why`` says what failed, in words for people."""

    answered: bool
    why: str = ""


@dataclass(frozen=True)
class Tally:
    """Outcomes for one target, as this process has counted them since it began to ask."""

    reachable: bool | None = None
    """None: too little was asked to say, and what the status says holds."""
    misses: int = 0
    """In a row, up to the number that counts."""
    why: str = ""
    """Why the miss failed with which the machine became unreachable."""


@dataclass(frozen=True)
class Presence:
    """Probes of one deployment: the target or why there is none, and the outcomes."""

    health: Health
    target: Target | Problem
    tally: Tally = Tally()


class Verdict(NamedTuple):
    """Status, reason and message of a condition."""

    status: Status
    reason: str
    message: str


def counted(tally: Tally, outcome: Outcome | None, failures: int) -> Tally:
    """Count an outcome. ``failures`` misses in a row make a machine unreachable, one answer makes it reachable.

    None is the outcome of a probe that says nothing of the machine: this process stood still, or lacked means.
    """
    if outcome is None:
        return tally
    if outcome.answered:
        return Tally(reachable=True)
    misses = min(tally.misses + 1, failures)
    if misses == failures and tally.reachable is not False:
        return Tally(reachable=False, misses=misses, why=outcome.why)
    return replace(tally, misses=misses)


def reachable(presence: Presence | None, present: Condition | None, generation: int) -> Verdict | None:
    """Return the condition Reachable of a deployment; ``present`` is the one in its status.

    None where nothing is to be said. A process that has just begun to lead keeps what the status says until its own
    probes say more. The message of a silent machine is that of the moment at which it fell silent.
    """
    if presence is None:
        return Verdict("Unknown", "NotProbed", "spec.health is not set") if present is not None else None
    target = presence.target
    if isinstance(target, Problem):
        return Verdict("Unknown", *target)
    known = Verdict(present.status, present.reason, present.message) if present is not None else None
    if presence.tally.reachable is True:
        return Verdict("True", ANSWERS, f"{target} answers")
    if presence.tally.reachable is None:
        if known is not None and known.reason in (ANSWERS, NO_ANSWER):
            return known
        return Verdict(
            "Unknown", AWAITED, f"{target} has not answered yet: switch the machine on, or correct spec.health"
        )
    if known is not None and known.reason == NO_ANSWER and present is not None:
        if present.observed_generation == generation:
            return known
    return Verdict("False", NO_ANSWER, _silence(target, presence))


def _silence(target: Target, presence: Presence) -> str:
    failures, every = presence.health.failures, presence.health.every
    times = f"{failures} times in a row, every {every} s" if failures > 1 else "when it was asked"
    return (
        f"{target} did not answer {times} (at last: {presence.tally.why}): look whether the machine is switched on and"
        " in its network; with its first answer it is online again"
    )
